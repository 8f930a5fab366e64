package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.metrics.AgentMetrics;
import dev.torpor.agent.metrics.AgentMetrics.Scan;
import dev.torpor.agent.metrics.AgentMetrics.ScanEnd;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.time.Duration;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
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
    private static final Duration END = Duration.ofSeconds(5);

    private final ImageStore store;
    private final BooleanSupplier busy;
    private final Consumer<ImageId> ended;
    private final AgentMetrics metrics;
    private final Set<ImageId> begun = ConcurrentHashMap.newKeySet();
    /** The last request for each image, and whether it was carried out. */
    private final Map<ImageId, Request> requests = new ConcurrentHashMap<>();

    private final ExecutorService thread = Executors.newSingleThreadExecutor(task -> new Thread(task, "page-scan"));

    /**
     * Sets up.
     *
     * @param busy tells whether it is to pause
     * @param ended hears of each image whose scan has ended, on the scan's thread
     */
    PageScans(ImageStore store, AgentMetrics metrics, BooleanSupplier busy, Consumer<ImageId> ended) {
        this.store = store;
        this.metrics = metrics;
        this.busy = busy;
        this.ended = ended;
    }

    /** Has an image scanned that is Complete; once, whatever comes of it. */
    void submit(ImageId image) {
        if (begun.add(image)) {
            try {
                thread.execute(() -> scan(image, Scan.AFTER_SAVE));
            } catch (RejectedExecutionException e) {
                begun.remove(image); // the agent is stopping
            }
        }
    }

    private record Request(String value, boolean done) {}

    /** Has an image compared, once for each value; tells whether that was done. */
    boolean request(ImageId image, String value) {
        Request last = requests.get(image);
        if (last != null && last.value().equals(value)) {
            return last.done();
        }
        requests.put(image, new Request(value, false));
        try {
            thread.execute(() -> {
                scan(image, Scan.REQUEST);
                requests.computeIfPresent(
                        image, (_, now) -> now.value().equals(value) ? new Request(value, true) : now);
                ended.accept(image);
            });
        } catch (RejectedExecutionException e) {
            requests.remove(image); // the agent is stopping
        }
        return false;
    }

    /** Forgets an image that is gone. */
    void forget(ImageId image) {
        begun.remove(image);
        requests.remove(image);
    }

    private void scan(ImageId image, Scan why) {
        long began = System.nanoTime();
        ScanPace pace = new ScanPace(store, image, busy, OptionalLong.empty());
        try {
            boolean verified =
                    switch (why) {
                        case AFTER_SAVE -> store.verify(image, pace);
                        case REQUEST, SCRUB, RESUME -> store.rescan(image, pace);
                    };
            metrics.scanned(why, verified ? ScanEnd.SOUND : ScanEnd.UNFINISHED);
            LOG.info(
                    "image {}: {} in {} ms",
                    image,
                    verified ? "all pages were read back" : "not scanned to the end, as it was needed",
                    TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - began));
        } catch (TorporException e) {
            if (!damaged(store, metrics, image, why, e)) {
                begun.remove(image); // it is gone, or the next look tries again
            }
        } catch (EndedException e) {
            LOG.debug("image {}: its scan was broken off", image);
            return;
        }
        ended.accept(image);
    }

    /** Records what a scan threw if that is damage of the image, and tells whether it is. */
    static boolean damaged(ImageStore store, AgentMetrics metrics, ImageId image, Scan why, TorporException e) {
        if (e.reason() != FailureReason.ImageDamaged && e.reason() != FailureReason.ImageTruncated) {
            metrics.scanned(why, ScanEnd.UNFINISHED);
            LOG.info("image {} is not scanned: {}", image, e.getMessage());
            return false;
        }
        metrics.scanned(why, ScanEnd.DAMAGED);
        LOG.error("image {}: {}", image, e.getMessage(), e);
        try {
            store.recordDamage(image, e.getMessage() == null ? e.reason().name() : e.getMessage());
        } catch (TorporException record) {
            LOG.error("image {}: {}", image, record.getMessage(), record);
        }
        return true;
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
