package dev.torpor.agent.work;

import java.time.Duration;
import java.util.Optional;

/** What becomes of a save that is under way when the agent was told to end; a pure function of the time that is left. */
enum StopChoice {
    /** It will be done in time. */
    CARRY_ON,
    /**
     * At its pace it would not be done in time: the limit of its bandwidth is lifted. QEMU must be waited for in any case,
     * as cancelling its work may kill it.
     */
    HURRY,
    /** What is left is needed to continue the guest: the image is given up, even if QEMU gets done. */
    UNDO;

    // A committed image is checked, flushed, recorded, and said to the API.
    private static final Duration COMMIT_MAX = Duration.ofSeconds(10);
    private static final int COMMIT_PART = 4;

    /**
     * Chooses.
     *
     * @param left what is left of the grace period
     * @param grace all of it
     * @param untilWritten how long QEMU still writes; empty while that cannot be told
     */
    static StopChoice of(Duration left, Duration grace, Optional<Duration> untilWritten) {
        Duration commit = least(COMMIT_MAX, grace.dividedBy(COMMIT_PART));
        boolean written = untilWritten.isPresent() && untilWritten.get().isZero();
        if (written) {
            return CARRY_ON;
        }
        if (left.compareTo(commit) <= 0) {
            return UNDO;
        }
        boolean inTime = untilWritten.isEmpty() || untilWritten.get().compareTo(left.minus(commit)) <= 0;
        return inTime ? CARRY_ON : HURRY;
    }

    private static Duration least(Duration one, Duration other) {
        return one.compareTo(other) < 0 ? one : other;
    }
}
