package dev.torpor.agent.work;

import dev.torpor.api.v1alpha1.ConditionType;
import io.fabric8.kubernetes.api.model.Condition;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import java.util.Set;

/**
 * What is to be done about a VM that cannot be saved and is to be shut down; a pure function of what was observed. Its state
 * is in condition {@link ConditionType#SHUT_DOWN}: none, {@code Asked}, then {@code Ended} or {@code TimedOut}, or
 * {@code Recalled}, from which it may be asked for again.
 */
sealed interface ShutdownDecision {
    /** Reason: the power button was, or is about to be, pressed. */
    String ASKED = "Asked";
    /** Reason, with status True: QEMU has ended, and does not start again in that pod. */
    String ENDED = "Ended";
    /** Reason: the guest has not shut itself down in time, and runs on. */
    String TIMED_OUT = "TimedOut";
    /** Reason: it is not wanted any more. */
    String RECALLED = "Recalled";

    Set<String> OVER = Set.of(TIMED_OUT, RECALLED);

    /** Nothing. */
    record Rest() implements ShutdownDecision {}

    /** Keep the pod from starting the VM again, and say that it is being shut down. */
    record Begin(ShutdownWish wish) implements ShutdownDecision {}

    /** Press the power button, if this process has not yet, and see whether QEMU has ended. */
    record Press() implements ShutdownDecision {}

    /** Say that it is done. */
    record Done() implements ShutdownDecision {}

    /** Let the pod start the VM again, should it end after all, and say that it was not done in time. */
    record GiveUp(Duration after) implements ShutdownDecision {}

    /** Let the pod start the VM again. */
    record Recall() implements ShutdownDecision {}

    /**
     * Decides.
     *
     * @param wish what is asked for, of the pod whose save failed
     * @param condition what was said so far
     * @param ended whether QEMU has ended and the pod's launcher waits to be told how to start
     */
    static ShutdownDecision of(Optional<ShutdownWish> wish, Optional<Condition> condition, boolean ended, Instant now) {
        Optional<String> said = condition.map(Condition::getReason);
        if (wish.isEmpty()) {
            return said.isEmpty() || said.get().equals(RECALLED) ? new Rest() : new Recall();
        }
        if (said.isEmpty() || said.get().equals(RECALLED)) {
            return new Begin(wish.get());
        }
        if (!said.get().equals(ASKED)) {
            return new Rest();
        }
        if (ended) {
            return new Done();
        }
        Instant asked = Instant.parse(condition.get().getLastTransitionTime());
        return now.isAfter(asked.plus(wish.get().grace()))
                ? new GiveUp(wish.get().grace())
                : new Press();
    }
}
