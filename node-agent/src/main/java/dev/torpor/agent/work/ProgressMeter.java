package dev.torpor.agent.work;

import dev.torpor.api.v1alpha1.Progress;
import java.util.Locale;
import java.util.Optional;

/** Turns bytes done so far into what status shows. One thread reports, another asks. */
final class ProgressMeter {
    private static final double GIB = 1 << 30;
    private static final double MIB = 1 << 20;
    private static final double NANOS_PER_SECOND = 1e9;

    private long doneBytes;
    private long totalBytes;
    private long shownBytes;
    private long shownNanos;

    /** Begins at zero; {@code nowNanos} is on the clock of {@link System#nanoTime}. */
    ProgressMeter(long nowNanos) {
        shownNanos = nowNanos;
    }

    synchronized void report(long done, long total) {
        doneBytes = done;
        totalBytes = total;
    }

    /** Returns how far it is, with the rate since the last time this was asked; empty while the total is unknown. */
    synchronized Optional<Progress> show(long nowNanos) {
        if (totalBytes <= 0) {
            return Optional.empty();
        }
        double seconds = Math.max((nowNanos - shownNanos) / NANOS_PER_SECOND, 1e-3);
        long rate = Math.max(0, Math.round((doneBytes - shownBytes) / seconds));
        shownBytes = doneBytes;
        shownNanos = nowNanos;
        int percent = (int) Math.clamp(100.0 * doneBytes / totalBytes, 0, 100);
        Long secondsLeft = rate == 0 ? null : (totalBytes - doneBytes + rate - 1) / rate;
        return Optional.of(new Progress(
                totalBytes,
                doneBytes,
                percent,
                rate,
                secondsLeft,
                percent + "% of " + bytes(totalBytes),
                bytes(rate) + "/s"));
    }

    /** Returns the end: everything done, at the rate of the whole. */
    static Progress finished(long totalBytes, double seconds) {
        long rate = Math.round(totalBytes / Math.max(seconds, 1e-3));
        return new Progress(totalBytes, totalBytes, 100, rate, 0L, "100% of " + bytes(totalBytes), bytes(rate) + "/s");
    }

    static String bytes(long bytes) {
        return bytes >= GIB
                ? String.format(Locale.ROOT, "%.1f GiB", (double) bytes / GIB)
                : String.format(Locale.ROOT, "%.0f MiB", (double) bytes / MIB);
    }
}
