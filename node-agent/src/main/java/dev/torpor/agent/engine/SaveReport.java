package dev.torpor.agent.engine;

import dev.torpor.agent.image.ChannelLayout;
import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.ImageHeader;
import dev.torpor.agent.image.PartialImage;
import dev.torpor.failure.TorporException;
import java.time.Duration;
import java.util.Optional;

/**
 * What QEMU says of a completed save.
 *
 * @param normalPages pages that are not all zero, which equals the number of set bits in the image's bitmaps
 * @param totalBytes bytes of all RAM blocks
 * @param duration from the command to its completion, flush not included
 * @param channels where its streams stand in the file, if we have recorded them
 */
public record SaveReport(long normalPages, long totalBytes, Duration duration, Optional<ChannelLayout> channels) {
    // Of x86; on others a unit of the same kind, good enough for a rate.
    private static final long PAGE_BYTES = 4096;

    /** Of a file that QEMU wrote. */
    public SaveReport(long normalPages, long totalBytes, Duration duration) {
        this(normalPages, totalBytes, duration, Optional.empty());
    }

    /** Returns the bytes that were written to the image, pages and, of streams, what is around them; compressed if they are. */
    public long writtenBytes() {
        return channels.map(ChannelLayout::totalBytes).orElse(normalPages * PAGE_BYTES);
    }

    /** Commits the image that this is the report of, against what it says. */
    public CommittedImage commit(PartialImage image, ImageHeader header) throws TorporException {
        return channels.isPresent() ? image.commit(header, channels.get()) : image.commit(header, normalPages);
    }
}
