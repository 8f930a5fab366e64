package dev.torpor.agent.work;

import dev.torpor.agent.engine.DirectIO;
import dev.torpor.agent.engine.SaveOptions;
import dev.torpor.agent.engine.SavePlan;
import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.PartialImage;
import dev.torpor.agent.launch.Answer;
import dev.torpor.agent.launch.AskDirectory;
import dev.torpor.agent.metrics.AgentMetrics.Outcome;
import dev.torpor.api.v1alpha1.Progress;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import dev.torpor.telemetry.log.LogScope;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Answers the {@code preStop} hooks of VM pods that end past the eviction API: it saves the VM first, if its policy says so
 * and the pod's grace period allows it. No VMSnapshot is needed, as the operator may be away: the image is named by the
 * pod's UID and told in the NodeStore, before the VM is paused, so that no other node boots the VM; the operator makes a
 * VMSnapshot of it. An image that cannot be told there is not made.
 */
final class Terminations {
    private static final Logger LOG = LoggerFactory.getLogger(Terminations.class);
    private static final Duration ANSWER_PATIENCE = Duration.ofSeconds(2);
    private static final int ASKED_MAX = 1000;

    private final Node node;
    private final SaveWishes wishes;
    private final StoreNews news;
    private final Source source;
    /** When a hook was first seen, by the id of its ask. */
    private final Map<String, Instant> asked = new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Instant> eldest) {
            return size() > ASKED_MAX;
        }
    };

    Terminations(Node node, SaveWishes wishes, StoreNews news) {
        this.node = node;
        this.wishes = wishes;
        this.news = news;
        this.source = new Source(node);
    }

    /**
     * Answers a hook, after having saved its VM if that is to be.
     *
     * @param retired whether the VM was saved from this pod already
     * @return false if it is to be looked at again
     */
    boolean answer(WorkItem.Pod pod, AskDirectory asks, String askID, boolean retired)
            throws IOException, TorporException {
        Instant now = node.clock().instant();
        Instant askedAt;
        synchronized (asked) {
            askedAt = asked.computeIfAbsent(askID, _ -> now);
        }
        if (!undone(pod)) {
            return false;
        }
        Optional<TerminationDecision.PodEnd> end;
        try {
            end = node.cluster().podEnd(pod.vm(), pod.podUID());
        } catch (KubernetesClientException e) {
            LOG.warn("VM {}: the API server does not say how pod {} ends: {}", pod.vm(), pod.podUID(), e.getMessage());
            return false;
        }
        return switch (TerminationDecision.of(retired, end, askedAt, now)) {
            case TerminationDecision.LookAgain _ -> held(asks, askID, "looking how this pod ends");
            case TerminationDecision.Go(String why) -> go(pod, asks, askID, why);
            case TerminationDecision.Save(TerminationDecision.PodEnd its, Instant until) -> {
                if (!node.saves().take(pod.podUID(), 0)) {
                    yield held(asks, askID, "other VMs of this node are being saved first");
                }
                var _ = held(asks, askID, "the VM is being saved");
                try {
                    yield save(pod, until) && go(pod, asks, askID, "pod " + its.name() + " may go");
                } finally {
                    node.saves().giveBack();
                }
            }
        };
    }

    /** Takes back what an earlier agent began at a pod's end, if it did. Returns false if that is to be tried again. */
    boolean undone(WorkItem.Pod pod) throws TorporException {
        Optional<PartialImage> partial = node.store().partial(imageOf(pod));
        if (partial.isEmpty()) {
            return true;
        }
        boolean done = source.undo("VM " + pod.vm(), partial.get());
        if (done) {
            news.soon();
        }
        return done;
    }

    /** Tells the hook that somebody is there. */
    private static boolean held(AskDirectory asks, String askID, String why) throws IOException {
        var _ = asks.answer(askID, new Answer.Say(why), ANSWER_PATIENCE);
        return false;
    }

    private boolean go(WorkItem.Pod pod, AskDirectory asks, String askID, String why) throws IOException {
        AskDirectory.Delivery delivery = asks.answer(askID, new Answer.Go(), ANSWER_PATIENCE);
        LOG.info("VM {}: pod {} may be ended: {} ({})", pod.vm(), pod.podUID(), why, delivery);
        return true;
    }

    /** Returns whether the hook may be answered: the VM is saved, or cannot be. */
    private boolean save(WorkItem.Pod pod, Instant until) throws TorporException {
        if (!node.underWay().begin(pod)) {
            return false; // for the next agent
        }
        ImageId image = imageOf(pod);
        SaveWishes.Save save = wishes.begin(image.uid());
        Future<?> deadline = node.timer()
                .schedule(
                        LogScope.carry(() -> save.cancellation()
                                .request(
                                        FailureReason.DeadlineExceeded,
                                        "not done within the pod's grace period: raise terminationGracePeriodSeconds")),
                        Math.max(
                                0,
                                Duration.between(node.clock().instant(), until).toMillis()),
                        TimeUnit.MILLISECONDS);
        try {
            LOG.info("VM {}: its pod {} is being terminated: saving", pod.vm(), pod.podUID());
            var _ = new SaveRun(node, new Order(image), save.cancellation(), save.pace()).run(pod.podUID());
            node.step(Step.SAVE_RETIRE, () -> {
                var _ = node.journal().update(pod.vm(), vm -> vm.retired(pod.podUID()));
            });
            node.metrics().saveEnded(Outcome.DONE, Optional.empty());
            LOG.info("VM {}: saved at the end of its pod {}", pod.vm(), pod.podUID());
            news.soon();
            return true;
        } catch (TorporException e) {
            node.metrics().saveEnded(Outcome.FAILED, Optional.of(e.reason()));
            LOG.error(
                    "VM {}: could not be saved at the end of its pod {}: {}: {}",
                    pod.vm(),
                    pod.podUID(),
                    e.reason(),
                    e.getMessage());
            // It runs on for what is left of the grace period.
            return undone(pod);
        } finally {
            deadline.cancel(false);
            wishes.end(image.uid());
        }
    }

    private static ImageId imageOf(WorkItem.Pod pod) {
        return new ImageId(pod.vm().namespace(), pod.vm().name(), pod.podUID());
    }

    /** A save that the agent wants by itself: as fast as it goes. */
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

        @Override
        public SaveOptions options() {
            return new SaveOptions(OptionalInt.empty(), DirectIO.AUTO, 0);
        }

        @Override
        public void planned(SavePlan plan, Instant startedAt) {}

        @Override
        public void recorded() throws TorporException {
            news.publish();
        }

        @Override
        public void progress(Progress progress) {}
    }
}
