package dev.torpor.agent.cli;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.function.LongSupplier;

/** Shows how far something is: a bar that moves on a terminal, now and then a line elsewhere. */
final class ProgressBar implements AutoCloseable {
    private static final int WIDTH = 30;
    private static final long BAR_NANOS = Duration.ofMillis(100).toNanos();
    private static final long LINE_NANOS = Duration.ofSeconds(2).toNanos();

    private final String what;
    private final PrintStream out;
    private final boolean terminal;
    private final LongSupplier nanoClock;
    private final long began;
    private long shown;
    private boolean open;

    ProgressBar(String what, PrintStream out, boolean terminal, LongSupplier nanoClock) {
        this.what = what;
        this.out = out;
        this.terminal = terminal;
        this.nanoClock = nanoClock;
        this.began = nanoClock.getAsLong();
        this.shown = began;
    }

    /** Returns one for standard error. */
    static ProgressBar onStandardError(String what) {
        return new ProgressBar(what, System.err, isTerminal(), System::nanoTime);
    }

    private static boolean isTerminal() {
        try {
            String target = Files.readSymbolicLink(Path.of("/proc/self/fd/2")).toString();
            return target.startsWith("/dev/pts/") || target.startsWith("/dev/tty");
        } catch (IOException e) {
            return false;
        }
    }

    /** Takes note of bytes dealt with, of how many in all; shows it unless it has just shown something. */
    void progress(long doneBytes, long totalBytes) {
        long now = nanoClock.getAsLong();
        if (totalBytes <= 0 || now - shown < (terminal ? BAR_NANOS : LINE_NANOS)) {
            return;
        }
        shown = now;
        show(Math.min(doneBytes, totalBytes), totalBytes, (now - began) / 1e9);
    }

    private void show(long done, long total, double seconds) {
        long rate = (long) (done / Math.max(seconds, 1e-3));
        long percent = done * 100 / total;
        String text = what + " " + percent + " %, " + Amount.bytes(done) + " of " + Amount.bytes(total) + ", "
                + Amount.bytes(rate) + "/s"
                + (done > 0 && done < total ? ", " + (total - done) / Math.max(rate, 1) + " s left" : "");
        if (terminal) {
            int full = (int) (done * WIDTH / total);
            // To the start of the line, and what is left of the old text away.
            out.print("\r[" + "#".repeat(full) + "-".repeat(WIDTH - full) + "] " + text + "\u001b[K");
            out.flush();
            open = true;
        } else {
            out.println(text);
        }
    }

    /** Ends the line that a bar stands on. */
    @Override
    public void close() {
        if (open) {
            out.println();
            open = false;
        }
    }
}
