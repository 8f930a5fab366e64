package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageRecord;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.PartialImage;
import dev.torpor.agent.image.PartialIntent;
import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.agent.launch.VmName;
import dev.torpor.failure.TorporException;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What an earlier agent left of its saves when it died: looked at as this one starts, as the API server, which tells what else to
 * look at, may be away. A save that was cut off is undone whatever that would say: none is gone on with, so its guest is paused for
 * nothing. A committed image is left to its VMSnapshot; whether a checkpoint's guest went on, and was paused by its owner since, is
 * not known here. If its VMSnapshot went away before it could be told that the VM is saved, the VM is not.
 */
final class LeftBehind {
    private static final Logger LOG = LoggerFactory.getLogger(LeftBehind.class);

    private final Node node;
    private final StoreNews news;
    private final Source source;

    LeftBehind(Node node, StoreNews news) {
        this.node = node;
        this.news = news;
        this.source = new Source(node);
    }

    /** Returns the process that an image is of which may have to be looked after; empty if there is nothing to be done. */
    static Optional<ProcessIdentity> source(ImageRecord record) {
        return record.state() instanceof ImageState.Partial || maybeUnsaid(record)
                ? record.intent().source().filter(process -> !process.podUID().isEmpty())
                : Optional.empty();
    }

    /** A checkpoint's guest goes on right after the commit, and what a pod's end made is told by the NodeStore. */
    private static boolean maybeUnsaid(ImageRecord record) {
        return isFresh(record) && record.intent().mode() != ImageMode.CHECKPOINT && !record.isWithoutRequest();
    }

    private static boolean isFresh(ImageRecord record) {
        return record.state() instanceof ImageState.Complete || record.state() instanceof ImageState.Verified;
    }

    /** Does what is to be done. Returns false if it is to be tried again. */
    boolean isSettled(VmName vm, ImageId image) throws TorporException {
        Optional<ImageRecord> record = node.store().record(image);
        if (record.filter(it -> it.state() instanceof ImageState.Partial).isPresent()) {
            return isUndone(vm, image);
        }
        if (record.isPresent() && maybeUnsaid(record.get()) && isNobodys(vm, record.get())) {
            disown(image, false);
        }
        return true;
    }

    /** Undoes a save that was begun and not ended. Returns false if that is to be tried again. */
    boolean isUndone(VmName vm, ImageId image) throws TorporException {
        Optional<PartialImage> partial = node.store().partial(image);
        boolean undone = partial.isEmpty() || source.undo(vm, "image " + image, partial.get());
        if (undone) {
            news.soon();
        }
        return undone;
    }

    /** Tells whether nobody was told of an image: its pod is retired before, and of one that is gone there is nothing to save. */
    private boolean isNobodys(VmName vm, ImageRecord record) throws TorporException {
        ProcessIdentity process = record.intent().source().orElseThrow();
        return !node.journal().read(vm).retiredPods().contains(process.podUID())
                && source.isAlive(process)
                && node.cluster().snapshotsOf(vm).stream().map(SnapshotView::of).noneMatch(snapshot -> snapshot.image()
                        .equals(record.id()));
    }

    /**
     * Has the VM go on whose image was committed for a VMSnapshot that went away, though its finalizer should have kept it, before it was
     * told so. The file stays: none is removed but for an object that asks for it.
     *
     * @param continued whether its guest went on already
     */
    void disown(ImageId image, boolean continued) throws TorporException {
        // Of what a pod's end made the NodeStore goes on telling, until it has another VMSnapshot.
        Optional<ImageRecord> record = node.store().record(image).filter(it -> isFresh(it) && !it.isWithoutRequest());
        if (record.isEmpty()) {
            return;
        }
        VmName vm = new VmName(image.namespace(), image.vm());
        PartialIntent intent = record.get().intent();
        if (!continued) {
            source.carryOn(vm, "image " + image, image, intent);
        }
        String pod = intent.source().map(ProcessIdentity::podUID).orElse("");
        var _ = node.journal().update(vm, it -> it.notRetired(pod));
        // Last: a fresh image keeps its pod from starting.
        node.store().transition(image, new ImageState.Stale());
        LOG.warn(
                "image {}: its VMSnapshot went away before it was told that the VM is saved: the VM goes on, and the"
                        + " image stays as Stale",
                image);
    }
}
