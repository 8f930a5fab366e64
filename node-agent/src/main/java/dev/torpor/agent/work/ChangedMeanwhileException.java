package dev.torpor.agent.work;

import java.io.Serial;

/** The object was changed by others since it was read: not a failure, look again. */
final class ChangedMeanwhileException extends RuntimeException {
    @Serial
    private static final long serialVersionUID = 1L;

    ChangedMeanwhileException() {
        super("the object changed since it was read", null, false, false);
    }
}
