package dev.torpor.agent.qmp;

import java.io.Serial;
import org.jspecify.annotations.Nullable;

/**
 * The guest's agent was of no use: not there, too slow, refusing, or not what it says it is. It has no {@code FailureReason},
 * as no save and no restore fails for it.
 */
public final class GuestAgentException extends Exception {
    @Serial
    private static final long serialVersionUID = 1L;

    public GuestAgentException(String message, @Nullable Throwable cause) {
        super(message, cause);
    }
}
