package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageProgress;

/** Leaves the disk to others for as long as a chunk took, unless it was read by somebody else anyway. */
final class Gently implements ImageProgress {
    private final boolean others;
    private final ScanClock clock;
    private long last;

    /** {@code others}: somebody else reads, and it is only followed. */
    Gently(boolean others) {
        this(others, ScanClock.SYSTEM);
    }

    Gently(boolean others, ScanClock clock) {
        this.others = others;
        this.clock = clock;
        this.last = clock.nanoTime();
    }

    @Override
    public void progress(long doneBytes, long totalBytes) {
        if (Thread.currentThread().isInterrupted()) {
            throw new EndedException();
        }
        if (!others) {
            clock.pause(clock.nanoTime() - last);
            last = clock.nanoTime();
        }
    }
}
