package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageProgress;
import java.util.concurrent.locks.LockSupport;

/** Leaves the disk to others for as long as a chunk took, unless it was read by somebody else anyway. */
final class Gently implements ImageProgress {
    private final boolean others;
    private long last = System.nanoTime();

    /** {@code others}: somebody else reads, and it is only followed. */
    Gently(boolean others) {
        this.others = others;
    }

    @Override
    public void progress(long doneBytes, long totalBytes) {
        if (Thread.currentThread().isInterrupted()) {
            throw new EndedException();
        }
        if (!others) {
            LockSupport.parkNanos(System.nanoTime() - last);
            last = System.nanoTime();
        }
    }
}
