package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageRecord;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.failure.TorporException;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Looks at the store now and then, so that metrics and health answer without waiting for the disk, and a disk that hangs
 * shows. One thread looks, others ask.
 */
final class StoreWatch {
    /** How often it is looked at. */
    static final Duration INTERVAL = Duration.ofSeconds(15);
    // Twice the interval, and what a busy disk may need for a flush.
    private static final Duration STALE = Duration.ofSeconds(60);

    private static final Logger LOG = LoggerFactory.getLogger(StoreWatch.class);

    private final ImageStore store;
    private volatile Seen seen = new Seen(0, 0, Map.of(), System.nanoTime(), Optional.of("not looked at yet"));

    /** Images in one state. */
    record Images(long count, long bytes) {
        static final Images NONE = new Images(0, 0);

        Images and(long moreBytes) {
            return new Images(count + 1, bytes + moreBytes);
        }
    }

    private record Seen(
            long freeBytes, long sizeBytes, Map<String, Images> images, long atNanos, Optional<String> problem) {}

    StoreWatch(ImageStore store) {
        this.store = store;
    }

    void look() {
        try {
            store.probeWritable();
            Map<String, Images> images = new HashMap<>();
            for (ImageRecord record : store.list()) {
                String state = record.state().word();
                images.put(state, images.getOrDefault(state, Images.NONE).and(store.allocatedBytes(record.id())));
            }
            if (seen.problem.isPresent() && !seen.images.isEmpty()) {
                LOG.info("the store can be written again");
            }
            seen = new Seen(store.freeBytes(), store.sizeBytes(), images, System.nanoTime(), Optional.empty());
        } catch (TorporException e) {
            String problem = e.reason() + ": " + e.getMessage();
            if (!seen.problem.equals(Optional.of(problem))) {
                LOG.error("the store: {}", problem, e);
            }
            seen = new Seen(seen.freeBytes, seen.sizeBytes, seen.images, System.nanoTime(), Optional.of(problem));
        }
    }

    long freeBytes() {
        return seen.freeBytes;
    }

    long sizeBytes() {
        return seen.sizeBytes;
    }

    Images images(ImageState state) {
        return seen.images.getOrDefault(state.word(), Images.NONE);
    }

    /** Returns what is wrong with the store; empty if it could be written lately. */
    Optional<String> problem() {
        Seen last = seen;
        Duration age = Duration.ofNanos(System.nanoTime() - last.atNanos);
        return last.problem.or(() -> age.compareTo(STALE) > 0
                ? Optional.of("the disk has not answered for " + age.toSeconds() + " s")
                : Optional.empty());
    }
}
