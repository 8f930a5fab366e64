package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageRecord;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.metrics.AgentMetrics;
import dev.torpor.agent.metrics.AgentMetrics.Scan;
import dev.torpor.agent.metrics.AgentMetrics.ScanEnd;
import dev.torpor.failure.TorporException;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.Comparator;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.function.Predicate;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Compares images that wait or are kept with their checksums, from time to time and slowly, one at a time, the one first that was
 * looked at longest ago: a disk that forgets is found out before the VM is needed. When an image was last looked at is on the
 * disk, so an agent's restart begins nothing anew.
 */
final class Scrub implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Scrub.class);
    private static final Duration LOOK_MAX = Duration.ofMinutes(1);
    private static final Duration END = Duration.ofSeconds(5);

    private final ImageStore store;
    private final AgentMetrics metrics;
    private final Clock clock;
    private final ScrubSettings settings;
    private final BooleanSupplier busy;
    private final Predicate<ImageId> wanted;
    private final Consumer<ImageId> ended;
    private final ScanClock pauses;
    private final ScheduledExecutorService thread =
            Executors.newSingleThreadScheduledExecutor(task -> new Thread(task, "scrub"));

    /**
     * Sets up.
     *
     * @param busy tells whether it is to pause
     * @param wanted tells whether an image is to be looked at again
     * @param ended hears of each image that was looked at
     */
    Scrub(
            ImageStore store,
            AgentMetrics metrics,
            Clock clock,
            ScrubSettings settings,
            BooleanSupplier busy,
            Predicate<ImageId> wanted,
            Consumer<ImageId> ended) {
        this(store, metrics, clock, settings, busy, wanted, ended, ScanClock.SYSTEM);
    }

    Scrub(
            ImageStore store,
            AgentMetrics metrics,
            Clock clock,
            ScrubSettings settings,
            BooleanSupplier busy,
            Predicate<ImageId> wanted,
            Consumer<ImageId> ended,
            ScanClock pauses) {
        this.store = store;
        this.metrics = metrics;
        this.clock = clock;
        this.settings = settings;
        this.busy = busy;
        this.wanted = wanted;
        this.ended = ended;
        this.pauses = pauses;
    }

    /** Begins, unless it is turned off. */
    void start() {
        if (!settings.every().isZero()) {
            long millis = Math.min(settings.every().toMillis(), LOOK_MAX.toMillis());
            var _ = thread.scheduleWithFixedDelay(this::look, millis, millis, TimeUnit.MILLISECONDS);
        }
    }

    /** Compares all images whose time has come. */
    private void look() {
        try {
            for (Optional<ImageId> next = due(); next.isPresent(); next = due()) {
                scan(next.get());
            }
        } catch (EndedException e) {
            LOG.debug("broken off");
        } catch (TorporException | RuntimeException e) {
            LOG.warn("images are not looked at again: {}", e.getMessage(), e); // the next look tries again
        }
    }

    private record Due(ImageId image, Instant verifiedAt) {}

    private Optional<ImageId> due() throws TorporException {
        Instant before = clock.instant().minus(settings.every());
        return store.list().stream()
                .filter(record -> record.state().restorable(record.intent().mode()))
                .map(ImageRecord::id)
                .flatMap(id -> verifiedAt(id).map(at -> new Due(id, at)).stream())
                .filter(due -> due.verifiedAt().isBefore(before))
                .sorted(Comparator.comparing(Due::verifiedAt))
                .map(Due::image)
                .filter(wanted)
                .findFirst();
    }

    /** When an image was found sound; empty also if it is known to be damaged, which only a person changes. */
    private Optional<Instant> verifiedAt(ImageId image) {
        try {
            return store.damage(image).isPresent() ? Optional.empty() : store.verifiedAt(image);
        } catch (TorporException e) {
            return Optional.empty(); // it goes just now
        }
    }

    private void scan(ImageId image) throws TorporException {
        try {
            OptionalLong budget = OptionalLong.of(settings.bytesPerSecond());
            var _ = store.rescan(image, new ScanPace(store, image, busy, budget, pauses));
            metrics.scanned(Scan.SCRUB, ScanEnd.SOUND);
            LOG.info("image {}: all pages were compared again", image);
        } catch (TorporException e) {
            if (!PageScans.damaged(store, metrics, image, Scan.SCRUB, e)) {
                throw e;
            }
        }
        ended.accept(image);
    }

    @Override
    public void close() {
        thread.shutdownNow();
        try {
            if (!thread.awaitTermination(END.toSeconds(), TimeUnit.SECONDS)) {
                LOG.warn("the look at an image did not end in time");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
