package dev.torpor.agent.image;

import java.util.List;
import java.util.Optional;

/**
 * Where things are in an image's file, and their checksums (CRC32C): computed at commit, kept in the header, compared
 * whenever the image is opened.
 *
 * @param sizeBytes length of the file
 * @param blocks the VM's memory, in the stream's order
 * @param deviceStateOffsetBytes where RAM ends and device state begins, up to the end of the file
 * @param presentPages pages that are in the file: the bits set in all bitmaps
 * @param headersCrc32c of the stream from its start, without bitmaps and pages, up to the device state
 * @param bitmapsCrc32c of all bitmaps, in order
 * @param deviceStateCrc32c of the device state
 * @param channels how streams stand in the file, if it holds those and not pages at their places: then there are no blocks,
 *     and all that is counted of them is 0
 */
public record ImageLayout(
        long sizeBytes,
        List<RamBlock> blocks,
        long deviceStateOffsetBytes,
        long presentPages,
        int headersCrc32c,
        int bitmapsCrc32c,
        int deviceStateCrc32c,
        Optional<ChannelLayout> channels) {
    public ImageLayout {
        blocks = List.copyOf(blocks);
    }

    /** Of a file with pages at their places. */
    public ImageLayout(
            long sizeBytes,
            List<RamBlock> blocks,
            long deviceStateOffsetBytes,
            long presentPages,
            int headersCrc32c,
            int bitmapsCrc32c,
            int deviceStateCrc32c) {
        this(
                sizeBytes,
                blocks,
                deviceStateOffsetBytes,
                presentPages,
                headersCrc32c,
                bitmapsCrc32c,
                deviceStateCrc32c,
                Optional.empty());
    }

    /** Returns the layout of a file of streams. */
    static ImageLayout of(ChannelLayout channels) {
        return new ImageLayout(channels.sizeBytes(), List.of(), 0, 0, 0, 0, 0, Optional.of(channels));
    }

    /** Returns the bytes of the block of this name; 0 if there is none. */
    public long usedBytes(String name) {
        return blocks.stream()
                .filter(block -> block.name().equals(name))
                .mapToLong(RamBlock::usedBytes)
                .sum();
    }
}
