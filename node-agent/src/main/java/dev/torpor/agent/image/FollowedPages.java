package dev.torpor.agent.image;

import dev.torpor.agent.linux.PageCache;
import java.io.IOException;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.locks.LockSupport;
import java.util.function.LongSupplier;

/**
 * Follows whoever reads an image into the page cache: a chunk that is there is taken from there, as the guest sees it, without
 * a second read from the disk, and without one more ahead; one that is not is waited for. If nothing comes for a while, because nobody reads ahead or what was
 * read had to go again, chunks are read from the disk itself, past the page cache, until one is found there again.
 */
final class FollowedPages implements PageReader.Way {
    private static final Duration LOOK = Duration.ofMillis(20);

    private final PageCache cache;
    private final Set<String> followed;
    private final Duration patience;
    private final LongSupplier nanoTime;
    private long seenAt;

    /**
     * Sets up.
     *
     * @param followed names of the blocks that somebody reads ahead
     * @param patience how long nothing may come
     */
    FollowedPages(PageCache cache, Set<String> followed, Duration patience, LongSupplier nanoTime) {
        this.cache = cache;
        this.followed = Set.copyOf(followed);
        this.patience = patience;
        this.nanoTime = nanoTime;
        this.seenAt = nanoTime.getAsLong();
    }

    @Override
    public PageReader.Source source(RamBlock block, long offset, long length, PageReader.Source disk)
            throws IOException {
        return cached(block, offset, length) ? cache::read : disk;
    }

    private boolean cached(RamBlock block, long offset, long length) throws IOException {
        if (!followed.contains(block.name())) {
            return false;
        }
        // The cache holds whole pages, and so do chunks: a block's pages are multiples of 4 KiB.
        while (!cache.holds(offset, length)) {
            if (nanoTime.getAsLong() - seenAt > patience.toNanos()
                    || Thread.currentThread().isInterrupted()) {
                return false;
            }
            LockSupport.parkNanos(LOOK.toNanos());
        }
        seenAt = nanoTime.getAsLong();
        return true;
    }
}
