package dev.torpor.agent.work;

import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;

/**
 * Why something did not work, for a user.
 *
 * @param message without the object's name before it and without the state of the VM behind it
 */
record Trouble(FailureReason reason, String message) {
    static Trouble of(TorporException e) {
        return new Trouble(e.reason(), e.getMessage() == null ? e.reason().name() : e.getMessage());
    }

    /** The message with a full stop, unless it ends like a sentence already. */
    String sentence() {
        return message.endsWith(".") || message.endsWith("?") ? message : message + ".";
    }

    boolean isFinal() {
        return switch (reason.kind()) {
            case RETRYABLE -> false;
            case TERMINAL, CANCELLED -> true;
        };
    }

    /** The deadline passed over this trouble. */
    Trouble untilDeadline(long seconds) {
        return new Trouble(
                FailureReason.DeadlineExceeded,
                "not done within " + seconds + " s; the last trouble was " + reason + ": " + message);
    }

    static Trouble deadline(long seconds) {
        return new Trouble(
                FailureReason.DeadlineExceeded,
                "not done within " + seconds + " s: raise deadlineSeconds, or see what keeps the node busy");
    }
}
