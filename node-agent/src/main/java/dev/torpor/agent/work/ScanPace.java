package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageProgress;
import dev.torpor.agent.image.ImageRecord;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.failure.TorporException;
import java.time.Duration;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

/**
 * Keeps a look at an image's pages from being in anybody's way: it leaves the disk to others for as long as each chunk took, or
 * keeps below a rate; waits while a VM of the node is saved or restored; and ends once the image is not there to be restored.
 */
final class ScanPace implements ImageProgress {
    private static final Duration BUSY_POLL = Duration.ofMillis(100);
    /** Chunks between two looks at what became of the image. */
    private static final int STATE_LOOK = 64;

    private static final long CHUNK_BYTES = 1 << 20;

    private final ImageStore store;
    private final ImageId image;
    private final BooleanSupplier busy;
    private final OptionalLong bytesPerSecond;
    private final ScanClock clock;
    private long last;
    private int calls;

    /** Sets up; {@code bytesPerSecond} empty: half of what the disk gives. */
    ScanPace(ImageStore store, ImageId image, BooleanSupplier busy, OptionalLong bytesPerSecond) {
        this(store, image, busy, bytesPerSecond, ScanClock.SYSTEM);
    }

    ScanPace(ImageStore store, ImageId image, BooleanSupplier busy, OptionalLong bytesPerSecond, ScanClock clock) {
        this.store = store;
        this.image = image;
        this.busy = busy;
        this.bytesPerSecond = bytesPerSecond;
        this.clock = clock;
        this.last = clock.nanoTime();
    }

    @Override
    public void progress(long doneBytes, long totalBytes) {
        long took = clock.nanoTime() - last;
        clock.pause(pauseNanos(took));
        do {
            if (Thread.currentThread().isInterrupted()) {
                throw new EndedException();
            }
            if (busy.getAsBoolean()) {
                clock.pause(BUSY_POLL.toNanos());
            }
        } while (busy.getAsBoolean());
        calls++;
        // A file that was consumed takes its space for as long as it is read.
        if (calls % STATE_LOOK == 0 && !isRestorable()) {
            throw new EndedException();
        }
        last = clock.nanoTime();
    }

    private long pauseNanos(long tookNanos) {
        return bytesPerSecond.isEmpty()
                ? tookNanos
                : CHUNK_BYTES * TimeUnit.SECONDS.toNanos(1) / bytesPerSecond.getAsLong() - tookNanos;
    }

    private boolean isRestorable() {
        try {
            Optional<ImageRecord> record = store.record(image);
            return record.filter(r -> r.state().restorable(r.intent().mode())).isPresent();
        } catch (TorporException e) {
            return true; // not known: what it is will be asked again, at the latest when all is read
        }
    }
}
