package dev.torpor.agent.image;

import dev.torpor.agent.linux.Access;
import dev.torpor.agent.linux.AlignedBuffer;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.linux.ErrnoException;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.zip.CRC32C;

/**
 * Reads the pages of an image: from the disk itself, as what the page cache holds proves nothing of the disk; or, where it is
 * told so, what the page cache holds, as that is what a guest sees that has the image mapped.
 */
final class PageReader implements AutoCloseable {
    static final int CHUNK_BYTES = 1 << 20;

    private final Descriptor pages;
    private final Descriptor bitmaps;
    private final Way way;
    private final CRC32C crc = new CRC32C();
    private final ByteBuffer chunk = AlignedBuffer.allocate(CHUNK_BYTES);
    private long nextData = -1;

    private PageReader(Descriptor pages, Descriptor bitmaps, Way way) {
        this.pages = pages;
        this.bitmaps = bitmaps;
        this.way = way;
    }

    /** Where bytes of the file are read from; as {@link Descriptor#read}. */
    @FunctionalInterface
    interface Source {
        int read(ByteBuffer buffer, long offsetBytes) throws IOException;
    }

    /** How a chunk is come by. */
    @FunctionalInterface
    interface Way {
        /** Waits until a chunk is to be read, and tells from where: the disk, or what the page cache holds. */
        Source source(RamBlock block, long offset, long length, Source disk) throws IOException;
    }

    static PageReader open(Directory directory, String name) throws IOException {
        return open(directory, name, (_, _, _, disk) -> disk);
    }

    static PageReader open(Directory directory, String name, Way way) throws IOException {
        Descriptor bitmaps = directory.openFile(name, Access.READ);
        try {
            return new PageReader(openPages(directory, name), bitmaps, way);
        } catch (IOException e) {
            bitmaps.close();
            throw e;
        }
    }

    private static Descriptor openPages(Directory directory, String name) throws IOException {
        try {
            return directory.openFile(name, Access.READ_DIRECT);
        } catch (ErrnoException e) {
            if (e.errno() == ErrnoException.EINVAL) {
                return directory.openFile(name, Access.READ); // a file system without direct I/O
            }
            throw e;
        }
    }

    /** What becomes of a chunk's checksum. */
    @FunctionalInterface
    interface Sink {
        /**
         * Takes one.
         *
         * @param chunk number of the chunk ({@link ChunkTable})
         * @param block that it is of
         * @param offset where it begins in the file
         */
        void chunk(int chunk, int crc32c, RamBlock block, long offset) throws TorporException;
    }

    /**
     * Reads each chunk that has a page in the file; returns the bytes of those pages. Where there is none, the file must be
     * zero, as a guest that has the image mapped sees what is there: nothing is read where it is a hole.
     */
    long readAll(ImageLayout layout, ImageProgress progress, Sink sink) throws IOException, TorporException {
        long total = 0;
        for (RamBlock block : layout.blocks()) {
            total += block.pages().lengthBytes();
        }
        long done = 0;
        long present = 0;
        int number = 0;
        progress.progress(0, total);
        for (RamBlock block : layout.blocks()) {
            long step = ChunkTable.chunkBytes(block);
            long pagesPerChunk = step / block.pageBytes();
            for (long at = 0; at < block.pages().lengthBytes(); at += step) {
                long length = Math.min(step, block.pages().lengthBytes() - at);
                long n = presentPages(block, at / block.pageBytes(), pagesPerChunk);
                if (n == 0) {
                    requireZeros(block, at, length);
                } else {
                    sink.chunk(
                            number,
                            read(block, at, length),
                            block,
                            block.pages().offsetBytes() + at);
                    progress.progress(done + length, total);
                }
                number++;
                present += n * block.pageBytes();
                done += length;
            }
        }
        progress.progress(total, total);
        return present;
    }

    private long presentPages(RamBlock block, long first, long count) throws IOException {
        // Whole bytes: a chunk begins at a multiple of 8 pages, or (pages above 128 KiB) has fewer than 8.
        ByteBuffer bits = ByteBuffer.allocate((int) ((count + 7) / 8)).order(ByteOrder.LITTLE_ENDIAN);
        bitmaps.read(bits, block.bitmap().offsetBytes() + first / 8);
        long n = 0;
        for (long page = first; page < Math.min(first + count, block.pageCount()); page++) {
            n += bits.get((int) (page / 8 - first / 8)) >> (page % 8) & 1;
        }
        return n;
    }

    private void requireZeros(RamBlock block, long at, long length) throws IOException, TorporException {
        long begin = block.pages().offsetBytes() + at;
        if (nextData < begin) {
            nextData = bitmaps.nextData(begin);
        }
        if (nextData < begin + length && read(pages::read, block, at, length) != zeros(length)) {
            throw new TorporException(
                    FailureReason.ImageDamaged,
                    "the image is damaged: RAM block '" + block.name() + "' has no page at offset " + begin
                            + ", and what is there is not zero");
        }
    }

    private int zeros(long length) {
        crc.reset();
        chunk.clear();
        while (chunk.hasRemaining()) {
            chunk.putLong(0);
        }
        for (long done = 0; done < length; done += CHUNK_BYTES) {
            crc.update(chunk.clear().limit((int) Math.min(CHUNK_BYTES, length - done)));
        }
        return (int) crc.getValue();
    }

    private int read(RamBlock block, long at, long length) throws IOException, TorporException {
        return read(way.source(block, block.pages().offsetBytes() + at, length, pages::read), block, at, length);
    }

    private int read(Source source, RamBlock block, long at, long length) throws IOException, TorporException {
        crc.reset();
        for (long done = 0; done < length; done += CHUNK_BYTES) {
            long offset = block.pages().offsetBytes() + at + done;
            chunk.clear().limit((int) Math.min(CHUNK_BYTES, length - done));
            int wanted = chunk.remaining();
            try {
                if (source.read(chunk, offset) < wanted) {
                    throw new TorporException(
                            FailureReason.ImageTruncated, "the image ends in the middle of its pages");
                }
            } catch (ErrnoException e) {
                throw new TorporException(
                        FailureReason.ImageDamaged,
                        "the disk cannot read RAM block '" + block.name() + "' at offset " + offset,
                        e);
            }
            crc.update(chunk.flip());
        }
        return (int) crc.getValue();
    }

    @Override
    public void close() throws IOException {
        try (bitmaps) {
            pages.close();
        }
    }
}
