package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageStore;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Waits for a store that is on a disk of its own, and makes none where that disk is not mounted: images would land on the
 * disk below, and those that wait would be missing. Meanwhile the node's VMs neither start nor are saved.
 */
final class StoreWait {
    // A disk is mounted at the node's start, or by a person: a second more is nothing.
    private static final Duration LOOK = Duration.ofSeconds(1);

    private static final Logger LOG = LoggerFactory.getLogger(StoreWait.class);

    private final Path path;

    StoreWait(Path path) {
        this.path = path;
    }

    /** Returns what is wrong while the store is waited for, for a health check. */
    Optional<String> problem() {
        return Optional.of(
                "%s: there is no image store in %s: its disk is not mounted, or new; in that case make an empty file %s"
                        .formatted(FailureReason.StoreFailed, path, path.resolve(ImageStore.REQUEST)));
    }

    /**
     * Waits.
     *
     * @param told counts down when the process is to end
     * @return the store; empty if the process is to end before there is one
     * @throws TorporException StoreFailed if the store cannot be opened or belongs to another process
     */
    Optional<ImageStore> await(CountDownLatch told) throws TorporException, InterruptedException {
        LOG.error("the store: {}", problem().orElseThrow());
        do {
            Optional<ImageStore> store = ImageStore.openExisting(path);
            if (store.isPresent()) {
                LOG.info("the store is there");
                return store;
            }
        } while (!told.await(LOOK.toMillis(), TimeUnit.MILLISECONDS));
        return Optional.empty();
    }
}
