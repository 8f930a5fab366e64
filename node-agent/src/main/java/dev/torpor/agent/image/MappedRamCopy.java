package dev.torpor.agent.image;

import dev.torpor.agent.linux.Descriptor;
import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * Copies a mapped-ram stream that begins anywhere in a file to where an image has it. Offsets in such a stream count from the
 * start of the file, and pages stand on boundaries of 1 MiB, so each block's record is written anew. Zero pages stay holes.
 */
final class MappedRamCopy {
    private static final long PAGES_ALIGNMENT_BYTES = 1 << 20; // MAPPED_RAM_FILE_OFFSET_ALIGNMENT of migration/ram.c
    private static final int OFFSETS_BYTES = 2 * Long.BYTES;

    private final ByteSource source;
    private final Descriptor target;
    private final ImageProgress progress;
    private final ByteBuffer chunk = ByteBuffer.allocateDirect(1 << 20);
    private long pages;
    private long doneBytes;

    private MappedRamCopy(ByteSource source, Descriptor target, ImageProgress progress) {
        this.source = source;
        this.target = target;
        this.progress = progress;
    }

    /**
     * Copies.
     *
     * @param stream as it was parsed from the source
     * @param sourceBytes length of the source
     * @param target an empty file
     * @return how many pages that were
     */
    static long copy(
            MappedRamStream stream, ByteSource source, long sourceBytes, Descriptor target, ImageProgress progress)
            throws IOException {
        return new MappedRamCopy(source, target, progress).copy(stream, sourceBytes);
    }

    private long copy(MappedRamStream stream, long sourceBytes) throws IOException {
        long position = ImageHeader.STREAM_OFFSET_BYTES;
        for (int i = 0; i < stream.blocks().size(); i++) {
            RamBlock block = stream.blocks().get(i);
            ByteBuffer header = read(stream.headers().get(i));
            boolean leftOut = block.pages().lengthBytes() == 0;
            long bitmapAt = position + header.limit();
            long pagesAt = (bitmapAt + block.bitmap().lengthBytes() + PAGES_ALIGNMENT_BYTES - 1)
                    / PAGES_ALIGNMENT_BYTES
                    * PAGES_ALIGNMENT_BYTES;
            if (!leftOut) {
                header.putLong(header.limit() - OFFSETS_BYTES, bitmapAt);
                header.putLong(header.limit() - Long.BYTES, pagesAt);
            }
            target.write(header, position);
            position = bitmapAt;
            if (!leftOut) {
                copy(block.bitmap(), bitmapAt, sourceBytes);
                copyPages(block, pagesAt, sourceBytes);
                position = pagesAt + block.usedBytes();
            }
        }
        long state = stream.deviceStateOffsetBytes();
        copy(new Extent(state, sourceBytes - state), position, sourceBytes);
        return pages;
    }

    /** Copies runs of pages that are there, as the bitmap has them. */
    private void copyPages(RamBlock block, long to, long sourceBytes) throws IOException {
        long count = block.pageCount();
        ByteBuffer words = ByteBuffer.allocate(64 << 10);
        long run = -1;
        for (long page = 0; page <= count; page++) {
            int bit = (int) (page % (words.capacity() * (long) Byte.SIZE));
            if (bit == 0 && page < count) {
                long at = page / Byte.SIZE;
                words.clear()
                        .limit((int) Math.min(words.capacity(), block.bitmap().lengthBytes() - at));
                if (source.read(words, block.bitmap().offsetBytes() + at) < words.limit()) {
                    throw new MalformedImageException("the file ends in a bitmap");
                }
            }
            boolean present = page < count && (words.get(bit / Byte.SIZE) >> (bit % Byte.SIZE) & 1) != 0;
            if (present) {
                pages++;
                run = run < 0 ? page : run;
            } else if (run >= 0) {
                long offset = run * block.pageBytes();
                copy(
                        new Extent(block.pages().offsetBytes() + offset, (page - run) * block.pageBytes()),
                        to + offset,
                        sourceBytes);
                run = -1;
            }
        }
    }

    private ByteBuffer read(Extent extent) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(Math.toIntExact(extent.lengthBytes()));
        if (source.read(bytes, extent.offsetBytes()) < bytes.capacity()) {
            throw new MalformedImageException("the file ends at " + extent.offsetBytes() + " bytes");
        }
        return bytes.flip();
    }

    private void copy(Extent from, long to, long sourceBytes) throws IOException {
        for (long done = 0; done < from.lengthBytes(); ) {
            chunk.clear().limit((int) Math.min(chunk.capacity(), from.lengthBytes() - done));
            int n = source.read(chunk, from.offsetBytes() + done);
            if (n < chunk.limit()) {
                throw new MalformedImageException("the file ends at " + (from.offsetBytes() + done + n) + " bytes");
            }
            target.write(chunk.flip(), to + done);
            done += n;
            doneBytes += n;
            progress.progress(Math.min(doneBytes, sourceBytes), sourceBytes);
        }
    }
}
