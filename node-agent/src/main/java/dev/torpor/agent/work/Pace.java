package dev.torpor.agent.work;

import dev.torpor.agent.engine.ProgressListener;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/** Estimates how long a save still takes to write, from what it did in the last seconds. One thread reports, others ask. */
final class Pace implements ProgressListener {
    // Zero pages go by at once, so the whole's average says too little; two to four seconds even out the disk's moods.
    private static final long WINDOW_NANOS = TimeUnit.SECONDS.toNanos(2);

    // Longer than anybody waits, and far from where durations end.
    private static final double NANOS_MAX = 1e18;

    private Mark older;
    private Mark newer;
    private long doneBytes;
    private long totalBytes;

    private record Mark(long atNanos, long doneBytes) {}

    /** Begins at zero; {@code nowNanos} is on the clock of {@link System#nanoTime}. */
    Pace(long nowNanos) {
        older = new Mark(nowNanos, 0);
        newer = older;
    }

    @Override
    public void progress(long done, long total) {
        report(done, total, System.nanoTime());
    }

    synchronized void report(long done, long total, long nowNanos) {
        doneBytes = done;
        totalBytes = total;
        if (nowNanos - newer.atNanos() >= WINDOW_NANOS) {
            older = newer;
            newer = new Mark(nowNanos, done);
        }
    }

    /** Returns the time that is left; empty while it cannot be told. */
    synchronized Optional<Duration> left(long nowNanos) {
        if (totalBytes <= 0) {
            return Optional.empty();
        }
        long leftBytes = totalBytes - doneBytes;
        long didBytes = doneBytes - older.doneBytes();
        if (leftBytes == 0) {
            return Optional.of(Duration.ZERO);
        }
        if (didBytes <= 0) {
            return Optional.empty();
        }
        double nanos = (double) leftBytes * (nowNanos - older.atNanos()) / didBytes;
        return Optional.of(Duration.ofNanos((long) Math.min(nanos, NANOS_MAX)));
    }
}
