package dev.torpor.agent.image;

import dev.torpor.agent.linux.ErrnoException;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;

/** Turns errors of the file system into failures for users. */
final class StoreTrouble {
    private StoreTrouble() {}

    /**
     * Returns the failure for an error.
     *
     * @param what what could not be done, as the beginning of a sentence
     */
    static TorporException of(String what, IOException e) {
        FailureReason reason = e instanceof ErrnoException errno && errno.errno() == ErrnoException.ENOSPC
                ? FailureReason.NotEnoughSpace
                : FailureReason.StoreFailed;
        return new TorporException(reason, what + ": " + brief(e), e);
    }

    static boolean missing(IOException e) {
        return e instanceof ErrnoException errno && errno.errno() == ErrnoException.ENOENT;
    }

    /** Returns the error without the path, which has no place in a status. */
    private static String brief(IOException e) {
        String message = String.valueOf(e.getMessage());
        return e instanceof ErrnoException ? message.substring(message.lastIndexOf(": ") + 2) : message;
    }
}
