package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageProgress;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Reads images back that were just committed, and has a table of their pages' checksums written ({@link ImageStore#verify}):
 * one image at a time, with half of what the disk gives it, and not while a VM of this node is saved or restored. What an
 * agent's end interrupts is begun again by the next one. Thread-safe.
 */
final class PageScans implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(PageScans.class);
    private static final Duration BUSY_POLL = Duration.ofMillis(100);
    private static final Duration END = Duration.ofSeconds(5);

    /** Chunks between two looks at what became of the image. */
    private static final int STATE_LOOK = 64;

    private final ImageStore store;
    private final BooleanSupplier busy;
    private final Consumer<ImageId> ended;
    private final Set<ImageId> begun = ConcurrentHashMap.newKeySet();
    private final Map<ImageId, TorporException> damaged = new ConcurrentHashMap<>();
    private final ExecutorService thread = Executors.newSingleThreadExecutor(task -> new Thread(task, "page-scan"));

    /**
     * Sets up.
     *
     * @param busy tells whether it is to pause
     * @param ended hears of each image whose scan has ended, on the scan's thread
     */
    PageScans(ImageStore store, BooleanSupplier busy, Consumer<ImageId> ended) {
        this.store = store;
        this.busy = busy;
        this.ended = ended;
    }

    /** The agent ends, or the image is needed for something else. */
    private static final class EndedException extends RuntimeException {
        private static final long serialVersionUID = 1L;
    }

    /** Has an image scanned that is Complete; once, whatever comes of it. */
    void submit(ImageId image) {
        if (begun.add(image)) {
            try {
                thread.execute(() -> scan(image));
            } catch (RejectedExecutionException e) {
                begun.remove(image); // the agent is stopping
            }
        }
    }

    /** Returns what a scan found wrong with an image, if it did. */
    Optional<TorporException> damage(ImageId image) {
        return Optional.ofNullable(damaged.get(image));
    }

    /** Forgets an image that is gone. */
    void forget(ImageId image) {
        begun.remove(image);
        damaged.remove(image);
    }

    private void scan(ImageId image) {
        long began = System.nanoTime();
        try {
            boolean verified = store.verify(image, new Pace(image));
            LOG.info(
                    "image {}: {} in {} ms",
                    image,
                    verified ? "all pages were read back" : "not scanned to the end, as it was needed",
                    TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - began));
        } catch (TorporException e) {
            if (e.reason() == FailureReason.ImageDamaged || e.reason() == FailureReason.ImageTruncated) {
                damaged.put(image, e);
                LOG.error("image {}: {}", image, e.getMessage(), e);
            } else {
                begun.remove(image); // it is gone, or the next look tries again
                LOG.info("image {} is not scanned: {}", image, e.getMessage());
            }
        } catch (EndedException e) {
            LOG.debug("image {}: its scan was broken off", image);
            return;
        }
        ended.accept(image);
    }

    /** Leaves the disk to others for as long as it took itself. */
    private final class Pace implements ImageProgress {
        private final ImageId image;
        private long last = System.nanoTime();
        private int calls;

        private Pace(ImageId image) {
            this.image = image;
        }

        @Override
        public void progress(long doneBytes, long totalBytes) {
            long now = System.nanoTime();
            LockSupport.parkNanos(now - last);
            do {
                if (Thread.currentThread().isInterrupted()) {
                    throw new EndedException();
                }
                if (busy.getAsBoolean()) {
                    LockSupport.parkNanos(BUSY_POLL.toNanos());
                }
            } while (busy.getAsBoolean());
            calls++;
            // A file that was consumed takes its space for as long as it is read.
            if (calls % STATE_LOOK == 0 && !isComplete()) {
                throw new EndedException();
            }
            last = System.nanoTime();
        }

        private boolean isComplete() {
            try {
                return store.state(image)
                        .filter(ImageState.Complete.class::isInstance)
                        .isPresent();
            } catch (TorporException e) {
                return false;
            }
        }
    }

    @Override
    public void close() {
        thread.shutdownNow();
        try {
            if (!thread.awaitTermination(END.toSeconds(), TimeUnit.SECONDS)) {
                LOG.warn("the scan of an image did not end in time");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
