package dev.torpor.failure;

import java.io.Serial;
import org.jspecify.annotations.Nullable;

/**
 * Something could not be done, for a reason that a user can act on. The message is a sentence for that user:
 * which object, what was tried, with numbers, and what to do. It carries no secrets, no guest data and no
 * absolute paths, as it ends up in conditions.
 */
public class TorporException extends Exception {
    @Serial
    private static final long serialVersionUID = 1L;

    private final FailureReason reason;

    public TorporException(FailureReason reason, String message) {
        this(reason, message, null);
    }

    public TorporException(FailureReason reason, String message, @Nullable Throwable cause) {
        super(message, cause);
        this.reason = reason;
    }

    /** Returns the machine-readable reason. */
    public FailureReason reason() {
        return reason;
    }
}
