package dev.torpor.agent.work;

import dev.torpor.agent.launch.VmRecord;
import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import io.fabric8.kubernetes.api.model.Condition;
import java.time.Duration;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Shuts down VMs that a drain cannot save, as the operator asks ({@link ShutdownWish}): never by force. From before the button is
 * pressed until the operator has deleted the pod, or asks no more, the pod does not start the VM again: kept in the journal.
 */
final class Shutdowns {
    private static final Logger LOG = LoggerFactory.getLogger(Shutdowns.class);
    private static final Duration POLL = Duration.ofMillis(500);
    /** QEMU's run state after the guest's shutdown where it was told to stay (-no-shutdown). */
    private static final String SHUT_DOWN_STATE = "shutdown";

    private final Node node;
    // After a restart of the agent it is pressed once more, which a guest that is shutting down takes no notice of.
    private final Set<String> pressed = ConcurrentHashMap.newKeySet();

    Shutdowns(Node node) {
        this.node = node;
    }

    /** What is to be said of a snapshot that failed, if anything, and when to look again. */
    record Step(Optional<VMSnapshotStatus> say, Next next) {
        private static Step rest() {
            return new Step(Optional.empty(), Next.onChange());
        }
    }

    /** Does one step for a snapshot of this store that failed. */
    Step look(SnapshotView snapshot) throws TorporException {
        Optional<ShutdownWish> wish = ShutdownWish.of(snapshot.object())
                .filter(asked -> snapshot.podUID().equals(Optional.of(asked.podUID())));
        Optional<Condition> condition =
                Conditions.find(snapshot.object().getStatus().getConditions(), ConditionType.SHUT_DOWN);
        boolean asked = condition
                .filter(said -> said.getReason().equals(ShutdownDecision.ASKED))
                .isPresent();
        boolean ended = wish.isPresent() && asked && hasEnded(wish.get().podUID());
        return switch (ShutdownDecision.of(wish, condition, ended, node.clock().instant())) {
            case ShutdownDecision.Rest _ -> Step.rest();
            case ShutdownDecision.Begin(ShutdownWish what) -> {
                var _ = node.journal().update(snapshot.vm(), vm -> vm.retired(what.podUID()));
                LOG.info(
                        "VM {}: it is shut down, as it cannot be saved: {} s",
                        snapshot.vm(),
                        what.grace().toSeconds());
                yield step(
                        snapshot,
                        ShutdownDecision.ASKED,
                        "the guest was asked to shut down, and has %d s for that"
                                .formatted(what.grace().toSeconds()),
                        Next.now());
            }
            case ShutdownDecision.Press _ -> {
                press(snapshot);
                yield new Step(Optional.empty(), Next.after(POLL));
            }
            case ShutdownDecision.Done _ -> {
                forget(snapshot);
                LOG.info("VM {}: it was shut down", snapshot.vm());
                yield step(
                        snapshot,
                        ShutdownDecision.ENDED,
                        "QEMU has ended, and does not start again in this pod",
                        Next.onChange());
            }
            case ShutdownDecision.GiveUp(Duration after) -> {
                release(snapshot);
                LOG.warn(
                        "VM {}: its guest did not shut down within {} s, and runs on",
                        snapshot.vm(),
                        after.toSeconds());
                yield step(
                        snapshot,
                        ShutdownDecision.TIMED_OUT,
                        "the guest did not shut down within %d s, and runs on".formatted(after.toSeconds()),
                        Next.onChange());
            }
            case ShutdownDecision.Recall _ -> {
                release(snapshot);
                LOG.info("VM {}: it is not to be shut down any more", snapshot.vm());
                yield step(
                        snapshot,
                        ShutdownDecision.RECALLED,
                        "it is not wanted any more; a guest that took notice shuts down all the same, and boots again",
                        Next.onChange());
            }
        };
    }

    /** Lets the pod of a failed snapshot start its VM again if only a shutdown keeps it from that. */
    void release(SnapshotView snapshot) throws TorporException {
        boolean held = snapshot.failed()
                && Conditions.find(snapshot.object().getStatus().getConditions(), ConditionType.SHUT_DOWN)
                        .filter(said -> !ShutdownDecision.OVER.contains(said.getReason()))
                        .isPresent();
        if (held) {
            String pod = snapshot.podUID().orElse("");
            VmRecord _ = node.journal().update(snapshot.vm(), vm -> vm.notRetired(pod));
        }
        forget(snapshot);
    }

    private Step step(SnapshotView snapshot, String reason, String message, Next next) {
        return new Step(
                Optional.of(SnapshotStatuses.shutDown(
                        snapshot.object(),
                        reason.equals(ShutdownDecision.ENDED),
                        reason,
                        message,
                        node.clock().instant())),
                next);
    }

    private void press(SnapshotView snapshot) throws TorporException {
        try (Vm vm = node.vms().connect(snapshot.podUID().orElseThrow())) {
            if (vm.runState().status().equals(SHUT_DOWN_STATE)) {
                vm.quit();
            } else if (pressed.add(snapshot.image().uid())) {
                vm.pressPowerButton();
            }
        } catch (TorporException e) {
            pressed.remove(snapshot.image().uid());
            if (e.reason() != FailureReason.SocketMissing && e.reason() != FailureReason.QEMUGone) {
                throw e;
            }
            LOG.debug("VM {}: QEMU does not answer (any more)", snapshot.vm(), e);
        }
    }

    // The launcher's word alone: a socket is missing too while a QEMU that was told to boot just now makes it.
    private boolean hasEnded(String podUID) {
        return node.vms().isAsking(podUID);
    }

    private void forget(SnapshotView snapshot) {
        pressed.remove(snapshot.image().uid());
    }
}
