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
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
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
    /** A disk that cannot be read is seldom well again at once, and an image is read from its beginning. */
    private static final Duration RETRY = Duration.ofMinutes(1);

    private final ImageStore store;
    private final BooleanSupplier busy;
    private final Consumer<ImageId> ended;
    private final AgentMetrics metrics;
    private final Set<ImageId> begun = ConcurrentHashMap.newKeySet();
    /** The last request for each image, and whether it was carried out. */
    private final Map<ImageId, Request> requests = new ConcurrentHashMap<>();

    private final Duration retry;
    private final ScheduledExecutorService thread =
            Executors.newSingleThreadScheduledExecutor(task -> new Thread(task, "page-scan"));

    PageScans(ImageStore store, AgentMetrics metrics, BooleanSupplier busy, Consumer<ImageId> ended) {
        this(store, metrics, busy, ended, RETRY);
    }

    /**
     * Sets up.
     *
     * @param busy tells whether it is to pause
     * @param ended hears of each image whose scan has ended, on the scan's thread
     * @param retry after which it hears of one that could not be read
     */
    PageScans(ImageStore store, AgentMetrics metrics, BooleanSupplier busy, Consumer<ImageId> ended, Duration retry) {
        this.retry = retry;
        this.store = store;
        this.metrics = metrics;
        this.busy = busy;
        this.ended = ended;
    }

    /** Has an image scanned that is Complete; once, unless that comes to nothing. */
    void submit(ImageId image) {
        if (begun.add(image)) {
            try {
                thread.execute(() -> {
                    End end = scan(image, Scan.AFTER_SAVE);
                    if (end != End.KNOWN) {
                        begun.remove(image);
                    }
                    tell(image, end);
                });
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
        Request asked = new Request(value, false);
        requests.put(image, asked);
        try {
            thread.execute(() -> {
                End end = scan(image, Scan.REQUEST);
                if (end == End.KNOWN) {
                    var _ = requests.replace(image, asked, new Request(value, true));
                } else {
                    var _ = requests.remove(image, asked);
                }
                tell(image, end);
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

    /** What came of a scan. */
    private enum End {
        /** The image was looked at, or is none any more that could be. */
        KNOWN,
        /** It could not be read, for now. */
        UNREADABLE,
        /** The agent ends, or the image was consumed. */
        BROKEN_OFF
    }

    /** Whoever hears of it asks for what is missing again: of what cannot be read, not at once. */
    private void tell(ImageId image, End end) {
        switch (end) {
            case KNOWN -> ended.accept(image);
            case UNREADABLE -> {
                try {
                    var _ = thread.schedule(() -> ended.accept(image), retry.toMillis(), TimeUnit.MILLISECONDS);
                } catch (RejectedExecutionException e) {
                    LOG.debug("image {}: for the next agent", image);
                }
            }
            case BROKEN_OFF -> {}
        }
    }

    private End scan(ImageId image, Scan why) {
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
            return End.KNOWN;
        } catch (TorporException e) {
            return damaged(store, metrics, image, why, e) ? End.KNOWN : End.UNREADABLE;
        } catch (EndedException e) {
            LOG.debug("image {}: its scan was broken off", image);
            return End.BROKEN_OFF;
        }
    }

    /** Tells whether something that read an image's pages or streams found them not to be what was committed. */
    static boolean isDamage(TorporException e) {
        return e.reason() == FailureReason.ImageDamaged || e.reason() == FailureReason.ImageTruncated;
    }

    /** Records what a scan threw if that is damage of the image, and tells whether it is. */
    static boolean damaged(ImageStore store, AgentMetrics metrics, ImageId image, Scan why, TorporException e) {
        if (!isDamage(e)) {
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
