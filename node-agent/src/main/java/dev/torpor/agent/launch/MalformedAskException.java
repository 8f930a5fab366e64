package dev.torpor.agent.launch;

import java.io.Serial;
import org.jspecify.annotations.Nullable;

/** An ask is not what the launcher writes: whoever wrote it is left to wait. The message says what is wrong with it. */
public final class MalformedAskException extends Exception {
    @Serial
    private static final long serialVersionUID = 1L;

    MalformedAskException(String message) {
        this(message, null);
    }

    MalformedAskException(String message, @Nullable Throwable cause) {
        super(message, cause);
    }
}
