package dev.torpor.agent.image;

import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.linux.PageCache;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.time.Duration;
import java.util.Set;

/**
 * An image's pages and the table of their checksums, kept open: what becomes of their names does not matter any more, so that
 * an image can be compared that was consumed meanwhile. For one thread at a time.
 */
public final class PageComparison implements AutoCloseable {
    private final PageReader reader;
    private final PageCache cache;
    private final ImageLayout layout;
    private final ChunkTable table;

    private PageComparison(PageReader reader, PageCache cache, ImageLayout layout, ChunkTable table) {
        this.reader = reader;
        this.cache = cache;
        this.layout = layout;
        this.table = table;
    }

    static PageComparison open(
            Directory directory,
            String name,
            ImageLayout layout,
            ChunkTable table,
            Set<String> followed,
            Duration patience)
            throws IOException {
        PageCache cache = PageCache.of(directory, name);
        try {
            PageReader reader =
                    PageReader.open(directory, name, new FollowedPages(cache, followed, patience, System::nanoTime));
            return new PageComparison(reader, cache, layout, table);
        } catch (IOException e) {
            cache.close();
            throw e;
        }
    }

    /**
     * Compares all pages that are in the image.
     *
     * @param progress hears of each chunk; may end it by throwing
     * @throws TorporException ImageDamaged for the first chunk that differs or that the disk cannot read, ImageTruncated
     */
    public void compare(ImageProgress progress) throws TorporException {
        try {
            var _ = reader.readAll(layout, progress, table::require);
        } catch (IOException e) {
            throw new TorporException(FailureReason.StoreFailed, "the image cannot be read", e);
        }
    }

    @Override
    public void close() throws IOException {
        try (cache) {
            reader.close();
        }
    }
}
