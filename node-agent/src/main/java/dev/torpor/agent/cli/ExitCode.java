package dev.torpor.agent.cli;

import dev.torpor.failure.FailureReason;
import java.util.EnumSet;
import java.util.Set;

/** The exit codes, as scripts may rely on them. */
final class ExitCode {
    /** Done. */
    static final int DONE = 0;
    /** Failed or refused, for the reason that is printed. */
    static final int FAILED = 1;
    /** The command line is wrong. */
    static final int USAGE = 2;
    /** The image itself cannot be used. */
    static final int IMAGE = 3;

    private static final Set<FailureReason> IMAGE_REASONS = EnumSet.of(
            FailureReason.ImageMissing,
            FailureReason.ImageIncomplete,
            FailureReason.ImageTruncated,
            FailureReason.ImageDamaged,
            FailureReason.ImageFormatTooNew,
            FailureReason.ImageFormatUnsupported,
            FailureReason.SnapshotUnusable);

    private ExitCode() {}

    static int of(FailureReason reason) {
        return IMAGE_REASONS.contains(reason) ? IMAGE : FAILED;
    }
}
