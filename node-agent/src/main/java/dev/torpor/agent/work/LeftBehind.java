package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageRecord;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.PartialImage;
import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.agent.launch.VmName;
import dev.torpor.failure.TorporException;
import java.util.Optional;

/**
 * What an earlier agent left of its saves when it died: looked at as this one starts, as the API server, which tells what else to
 * look at, may be away. A save that was cut off is undone whatever that would say: none is gone on with, so its guest is paused for
 * nothing. A committed image is left to its VMSnapshot; whether a checkpoint's guest went on, and was paused by its owner since, is
 * not known here.
 */
final class LeftBehind {
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
        return record.state() instanceof ImageState.Partial
                ? record.intent().source().filter(process -> !process.podUID().isEmpty())
                : Optional.empty();
    }

    /** Does what is to be done. Returns false if it is to be tried again. */
    boolean isSettled(VmName vm, ImageId image) throws TorporException {
        Optional<PartialImage> partial = node.store().partial(image);
        if (partial.isEmpty()) {
            return true;
        }
        boolean undone = source.undo(vm, "image " + image, partial.get());
        if (undone) {
            news.soon();
        }
        return undone;
    }
}
