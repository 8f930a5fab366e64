package dev.torpor.agent.image;

import dev.torpor.agent.linux.Descriptor;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/**
 * What QEMU loads of an image whose large RAM blocks it has mapped already: a sparse file with everything at the offsets
 * that it has in the image, but for the bitmaps and pages of the mapped blocks. A bitmap of zeros means "nothing to load".
 */
final class ShadowStream {
    private static final int CHUNK_BYTES = 256 << 10;

    private ShadowStream() {}

    /**
     * Writes it.
     *
     * @param image read from
     * @param mapped names of the blocks that are left out
     * @param shadow an empty file; its length becomes that of the image, what is zero stays a hole
     * @throws MalformedImageException if the image ends early
     */
    static void write(Descriptor image, ImageLayout layout, Set<String> mapped, Descriptor shadow) throws IOException {
        ByteBuffer chunk = ByteBuffer.allocateDirect(CHUNK_BYTES);
        for (Extent range : kept(layout, mapped)) {
            for (long at = range.offsetBytes(); at < range.endBytes(); at += CHUNK_BYTES) {
                int length = (int) Math.min(CHUNK_BYTES, range.endBytes() - at);
                chunk.clear().limit(length);
                if (image.read(chunk, at) < length) {
                    throw new MalformedImageException("the file ends before " + (at + length) + " bytes");
                }
                chunk.flip();
                // The last bytes are written whatever they are: they give the file its length.
                if (!isZero(chunk) || at + length == layout.sizeBytes()) {
                    shadow.write(chunk, at);
                }
            }
        }
    }

    /** Returns the ranges of the image that are in its shadow. */
    private static List<Extent> kept(ImageLayout layout, Set<String> mapped) {
        List<Extent> kept = new ArrayList<>();
        long from = ImageHeader.STREAM_OFFSET_BYTES;
        for (RamBlock block : layout.blocks()) {
            if (mapped.contains(block.name())) {
                kept.add(new Extent(from, block.bitmap().offsetBytes() - from));
                from = block.pages().endBytes();
            }
        }
        kept.add(new Extent(from, layout.sizeBytes() - from));
        return kept;
    }

    private static boolean isZero(ByteBuffer chunk) {
        int i = 0;
        for (; i + Long.BYTES <= chunk.limit(); i += Long.BYTES) {
            if (chunk.getLong(i) != 0) {
                return false;
            }
        }
        for (; i < chunk.limit(); i++) {
            if (chunk.get(i) != 0) {
                return false;
            }
        }
        return true;
    }
}
