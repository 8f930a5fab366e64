package dev.torpor.agent.image;

import dev.torpor.agent.linux.ErrnoException;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.util.List;
import java.util.Optional;

/** Turns errors of the store's file system into failures for users. */
public final class StoreTrouble {
    /** What strerror(3) says of a file system that has no room, or whose quota has none. */
    private static final List<String> FULL = List.of("No space left on device", "Disk quota exceeded");
    /** What it says of one that fails. */
    private static final List<String> BROKEN =
            List.of("Input/output error", "Read-only file system", "Structure needs cleaning", "No such device");

    private StoreTrouble() {}

    /**
     * Returns the failure for an error.
     *
     * @param what what could not be done, as the beginning of a sentence
     */
    public static TorporException of(String what, IOException e) {
        FailureReason reason = e instanceof ErrnoException errno && errno.isOutOfSpace()
                ? FailureReason.NotEnoughSpace
                : FailureReason.StoreFailed;
        return new TorporException(reason, what + ": " + brief(e), e);
    }

    /**
     * Returns the reason for which somebody else could not write to the store, whose words end with those of the C library;
     * empty if they tell of something else than the file system.
     */
    public static Optional<FailureReason> reasonOf(String words) {
        if (FULL.stream().anyMatch(words::endsWith)) {
            return Optional.of(FailureReason.NotEnoughSpace);
        }
        return BROKEN.stream().anyMatch(words::endsWith) ? Optional.of(FailureReason.StoreFailed) : Optional.empty();
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
