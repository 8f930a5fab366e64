package dev.torpor.agent.work;

import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.engine.SaveOptions;
import dev.torpor.agent.engine.SavePlan;
import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageRecord;
import dev.torpor.agent.image.VmDisks;
import dev.torpor.agent.metrics.AgentMetrics.Outcome;
import dev.torpor.api.v1alpha1.Progress;
import dev.torpor.failure.TorporException;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Future;
import java.util.function.UnaryOperator;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Saves VMs for which nobody made a VMSnapshot, as the operator may be away: the image is named by the pod's UID and told in
 * the NodeStore, before the VM is paused, so that no other node boots the VM; the operator makes a VMSnapshot of it. An
 * image that cannot be told there is not made.
 */
final class PodSaves {
    private static final Logger LOG = LoggerFactory.getLogger(PodSaves.class);

    private final Node node;
    private final SaveWishes wishes;
    private final StoreNews news;
    private final Source source;
    private final LeftBehind leftBehind;
    private final UnaryOperator<String> uids;
    /** The images that are being made, by the UIDs of their pods. */
    private final Map<String, String> saving = new ConcurrentHashMap<>();

    PodSaves(Node node, SaveWishes wishes, StoreNews news) {
        this(node, wishes, news, ImageRecord::newUidOfTermination);
    }

    /** @param uids makes the UID of an image from that of its pod */
    PodSaves(Node node, SaveWishes wishes, StoreNews news, UnaryOperator<String> uids) {
        this.node = node;
        this.wishes = wishes;
        this.news = news;
        this.source = new Source(node);
        this.leftBehind = new LeftBehind(node, news);
        this.uids = uids;
    }

    /**
     * Why a VM is saved, in words.
     *
     * @param cause what happens to it
     * @param tooShort what is to be said when there was too little time
     */
    record Why(String cause, String tooShort) {}

    /** Returns how VMs are saved here: as the default class says. */
    SaveOptions options() {
        return ClassDefaults.inHaste(node.cluster().defaultClass());
    }

    /** How a save came out. */
    enum Result {
        /** The image is committed, and the pod retired. */
        SAVED,
        /**
         * It failed; why is in the log and told to {@link Failures}. Most often the VM runs on and no image is left. If only
         * retiring the pod failed, the image is committed and the VM stays paused: its record retires the pod at the next start.
         */
        FAILED,
        /** Nothing was begun, or undoing it is to be tried again. */
        LATER
    }

    /**
     * Tells whether what a save failed for may pass in seconds: the API server is away, other saves have the room that is left, or
     * the agent ends and another follows.
     */
    boolean mayPass(TorporException why) {
        return switch (why.reason()) {
            case StoreUnavailable, AgentRestarted -> true;
            case NotEnoughSpace -> node.store().hasReserved();
            default -> false;
        };
    }

    /** Hears why a save failed. */
    interface Failures {
        void failed(TorporException why);
    }

    /**
     * Saves a VM, as fast as it goes. The caller has a turn ({@link SaveTurns}).
     *
     * @param item for which this is done: it is looked at again after {@link Result#LATER}
     * @param until when it is given up and undone
     */
    Result save(WorkItem item, WorkItem.Pod pod, Why why, Instant until, Failures failures) throws TorporException {
        if (!node.underWay().begin(item)) {
            return Result.LATER; // for the next agent
        }
        ImageId image = new ImageId(pod.vm().namespace(), pod.vm().name(), uids.apply(pod.podUID()));
        saving.put(pod.podUID(), image.uid());
        SaveWishes.Save save = wishes.begin(image.uid());
        Future<?> deadline = node.endAt(until, save.cancellation(), why.tooShort());
        SaveRun run = new SaveRun(node, new Order(image), save.cancellation(), save.pace());
        try {
            LOG.info("VM {}: {}: saving it from pod {}", pod.vm(), why.cause(), pod.podUID());
            var _ = run.run(pod.podUID());
            node.step(Step.SAVE_RETIRE, () -> {
                var _ = node.journal().update(pod.vm(), vm -> vm.retired(pod.podUID()));
            });
            node.metrics().saveEnded(Outcome.DONE, Optional.empty());
            LOG.info("VM {}: saved from pod {}", pod.vm(), pod.podUID());
            news.soon();
            return Result.SAVED;
        } catch (TorporException e) {
            source.carryOnAtOnce(pod.vm(), "VM " + pod.vm(), run, e);
            node.metrics().saveEnded(Outcome.FAILED, Optional.of(e.reason()));
            LOG.error(
                    "VM {}: {}, and it could not be saved from pod {}: {}: {}",
                    pod.vm(),
                    why.cause(),
                    pod.podUID(),
                    e.reason(),
                    e.getMessage());
            failures.failed(e);
            // It runs on for as long as it is let.
            return undone(pod) ? Result.FAILED : Result.LATER;
        } finally {
            deadline.cancel(false);
            saving.remove(pod.podUID());
            wishes.end(image.uid());
        }
    }

    /** Passes on that the save of a pod's VM is not wanted any more, if one is under way. */
    void cancel(String podUID) {
        Optional.ofNullable(saving.get(podUID)).ifPresent(wishes::cancelled);
    }

    /**
     * Takes back what was begun for a pod and not ended, if anything was, for whomever: all that is done with a VM is done by one
     * worker, so nothing of it is under way. Returns false if that is to be tried again.
     */
    boolean undone(WorkItem.Pod pod) throws TorporException {
        boolean done = true;
        for (ImageRecord record :
                node.store().begun(pod.vm().namespace(), pod.vm().name())) {
            if (isBegunFor(pod, record)) {
                done &= leftBehind.isUndone(pod.vm(), record.id());
            }
        }
        return done;
    }

    private static boolean isBegunFor(WorkItem.Pod pod, ImageRecord record) {
        return record.intent()
                .source()
                .filter(process -> process.podUID().equals(pod.podUID()))
                .isPresent();
    }

    /** A save that the agent wants by itself. */
    private final class Order implements SaveOrder {
        private final ImageId image;

        Order(ImageId image) {
            this.image = image;
        }

        @Override
        public ImageId image() {
            return image;
        }

        @Override
        public ImageMode mode() {
            return ImageMode.MANAGED_SAVE;
        }

        /** The operator reads them when it adopts the image: agents may not. */
        @Override
        public boolean probed() {
            return false; // not of a pod that ends; and where the node does, there is nothing to lose
        }

        @Override
        public List<VmDisks.Claim> claims() {
            return List.of();
        }

        @Override
        public SaveOptions options() {
            return PodSaves.this.options();
        }

        /** It is now or never. */
        @Override
        public Optional<SaveOptions> otherwise() {
            return Optional.of(SaveOptions.DEFAULT);
        }

        @Override
        public void planned(SavePlan plan, Instant startedAt) {}

        @Override
        public void recorded() throws TorporException {
            news.publish();
        }

        @Override
        public void paused(Instant at) {}

        @Override
        public void awaitDisks(Cancellation cancellation) {}

        @Override
        public void progress(Progress progress) {}

        @Override
        public void givingUp(String why) {}
    }
}
