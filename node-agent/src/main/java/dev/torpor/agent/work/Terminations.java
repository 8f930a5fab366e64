package dev.torpor.agent.work;

import dev.torpor.agent.launch.Answer;
import dev.torpor.agent.launch.AskDirectory;
import dev.torpor.failure.TorporException;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Answers the {@code preStop} hooks of VM pods that end past the eviction API: it saves the VM first ({@link PodSaves}), if
 * its policy says so and the pod's grace period allows it.
 */
final class Terminations {
    private static final Logger LOG = LoggerFactory.getLogger(Terminations.class);
    private static final Duration ANSWER_PATIENCE = Duration.ofSeconds(2);
    private static final String BUSY = "something else is done with this VM first";
    private static final String LOOKING = "looking how this pod ends";
    private static final String TOO_SHORT =
            "not done within the pod's grace period: raise terminationGracePeriodSeconds";

    private final Node node;
    private final PodSaves saves;
    private final Optional<NodeShutdown> shutdown;
    private final HookTimes times = new HookTimes();

    /** @param shutdown knows of this node's shutdowns, if anybody does but the kubelet */
    Terminations(Node node, PodSaves saves, Optional<NodeShutdown> shutdown) {
        this.node = node;
        this.saves = saves;
        this.shutdown = shutdown;
    }

    /** A hook that asks. */
    interface Hook {
        /** Of its ask. */
        String id();

        /** See {@link AskDirectory#answer}. */
        AskDirectory.Delivery answer(Answer answer, Duration patience) throws IOException;

        /** Returns one that asks there. */
        static Hook of(AskDirectory asks, String askID) {
            return new Hook() {
                @Override
                public String id() {
                    return askID;
                }

                @Override
                public AskDirectory.Delivery answer(Answer answer, Duration patience) throws IOException {
                    return asks.answer(askID, answer, patience);
                }
            };
        }
    }

    /**
     * Tells hooks that are new that somebody is there, while the VM's worker is at work with something else. Does not wait.
     */
    void heed(WorkItem.Pod pod, AskDirectory asks) throws IOException {
        for (String id : asks.asks()) {
            if (asks.isOfHook(id)) {
                var _ = heard(pod, Hook.of(asks, id), BUSY, Duration.ZERO);
            }
        }
    }

    /** A hook that hears nothing goes. Returns when it was first heard. */
    private Instant heard(WorkItem.Pod pod, Hook hook, String word, Duration patience) throws IOException {
        Instant now = node.clock().instant();
        Optional<Instant> before = times.heard(pod.podUID(), hook.id(), now);
        if (before.isEmpty()) {
            var _ = hook.answer(new Answer.Say(word), patience);
        }
        return before.orElse(now);
    }

    /**
     * Answers a hook, after having saved its VM if that is to be.
     *
     * @param retired whether the VM was saved from this pod already
     * @return false if it is to be looked at again
     */
    boolean answer(WorkItem.Pod pod, Hook hook, boolean retired) throws IOException, TorporException {
        // Before the API is asked: a server that hangs is not told from one that is slow.
        Instant askedAt = heard(pod, hook, LOOKING, ANSWER_PATIENCE);
        Instant now = node.clock().instant();
        if (!saves.undone(pod)) {
            return held(hook, "a save that was begun is being undone");
        }
        Optional<TerminationDecision.PodEnd> end;
        Optional<TerminationDecision.NodeDown> down;
        try {
            end = node.cluster().podEnd(pod.vm(), pod.podUID());
            down = end.filter(TerminationDecision.PodEnd::isUnexplained).flatMap(_ -> nodeDown());
        } catch (KubernetesClientException e) {
            LOG.warn("VM {}: the API server does not say how pod {} ends: {}", pod.vm(), pod.podUID(), e.getMessage());
            // A hook that hears nothing goes, and the VM with it: it has until the end of its grace period.
            return held(hook, "the API server does not say how this pod ends");
        }
        return switch (TerminationDecision.of(retired, end, down, askedAt, now)) {
            case TerminationDecision.LookAgain _ -> held(hook, LOOKING);
            case TerminationDecision.Go(String why) -> go(pod, hook, why);
            case TerminationDecision.Save(TerminationDecision.PodEnd its, Instant until) -> {
                if (hasATurn(pod, until)) {
                    yield held(hook, "its node goes down: the VM is saved in its turn");
                }
                if (!node.saves().take(pod.podUID())) {
                    yield held(hook, "other VMs of this node are being saved first");
                }
                var _ = held(hook, "the VM is being saved");
                AtomicBoolean mayPass = new AtomicBoolean();
                try {
                    boolean ended =
                            switch (saves.save(
                                    pod,
                                    pod,
                                    new PodSaves.Why("its pod ends", TOO_SHORT),
                                    until,
                                    why -> mayPass.set(saves.mayPass(why)))) {
                                case SAVED -> true;
                                // It runs on, and is begun again if that is in time.
                                case FAILED -> !mayPass.get();
                                case LATER -> false;
                            };
                    yield ended && go(pod, hook, "pod " + its.name() + " may go");
                } finally {
                    node.saves().giveBack(pod.podUID());
                }
            }
        };
    }

    private boolean hasATurn(WorkItem.Pod pod, Instant until) {
        return shutdown.filter(going -> going.isToSave(pod.podUID(), until)).isPresent();
    }

    private Optional<TerminationDecision.NodeDown> nodeDown() {
        return shutdown.flatMap(NodeShutdown::goingDown)
                .or(() -> node.cluster().nodeGoesDown()
                        ? Optional.of(new TerminationDecision.NodeDown(Optional.empty()))
                        : Optional.empty());
    }

    /** Tells the hook that somebody is there. */
    private static boolean held(Hook hook, String why) throws IOException {
        var _ = hook.answer(new Answer.Say(why), ANSWER_PATIENCE);
        return false;
    }

    private boolean go(WorkItem.Pod pod, Hook hook, String why) throws IOException {
        AskDirectory.Delivery delivery = hook.answer(new Answer.Go(), ANSWER_PATIENCE);
        LOG.info("VM {}: pod {} may be ended: {} ({})", pod.vm(), pod.podUID(), why, delivery);
        return true;
    }
}
