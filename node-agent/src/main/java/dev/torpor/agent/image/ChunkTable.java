package dev.torpor.agent.image;

import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.zip.CRC32C;

/**
 * Checksums of an image's pages, in the file {@code <uid>.crc} beside it: one for each MiB of each RAM block, in the order of
 * the layout; a block whose pages are longer than that has one for each page. Numbers are big-endian, as in the header:
 *
 * <pre>
 *  offset  bytes
 *       0      8  magic "TORPORCK"
 *       8      4  version, 1
 *      12      4  CRC32C that stands in the image's header: which image this is of
 *      16      4  number n of chunks
 *      20     4n  CRC32C of each chunk as it stands in the file, holes being zeros; 0 for one without a page
 *   20+4n      4  CRC32C of all before
 * </pre>
 *
 * 16 GiB of RAM have a table of 64 KiB.
 */
final class ChunkTable {
    /** The longest that is read: that of 64 TiB. */
    static final int BYTES_MAX = 256 << 20;

    private static final byte[] MAGIC = "TORPORCK".getBytes(StandardCharsets.US_ASCII);
    private static final int VERSION = 1;
    private static final int VERSION_OFFSET = 8;
    private static final int IMAGE_OFFSET = 12;
    private static final int COUNT_OFFSET = 16;
    private static final int FIXED_BYTES = 20;

    private final int headerCrc32c;
    private final int[] checksums;

    private ChunkTable(int headerCrc32c, int[] checksums) {
        this.headerCrc32c = headerCrc32c;
        this.checksums = checksums;
    }

    /** Returns the bytes of a chunk of a block. */
    static long chunkBytes(RamBlock block) {
        return Math.max(1, PageReader.CHUNK_BYTES / block.pageBytes()) * block.pageBytes();
    }

    /** Returns how many chunks an image has. */
    static int chunks(ImageLayout layout) {
        long n = 0;
        for (RamBlock block : layout.blocks()) {
            n += (block.pages().lengthBytes() + chunkBytes(block) - 1) / chunkBytes(block);
        }
        return Math.toIntExact(n);
    }

    /** Collects the checksums of an image. */
    static final class Builder {
        private final int headerCrc32c;
        private final int[] checksums;

        Builder(HeaderArea area) {
            headerCrc32c = area.crc32c();
            checksums = new int[chunks(area.layout())];
        }

        void put(int chunk, int crc32c) {
            checksums[chunk] = crc32c;
        }

        ChunkTable build() {
            return new ChunkTable(headerCrc32c, checksums.clone());
        }
    }

    /**
     * Compares a chunk.
     *
     * @throws TorporException ImageDamaged if it is not what was read after the commit
     */
    void require(int chunk, int crc32c, RamBlock block, long offset) throws TorporException {
        if (checksums[chunk] != crc32c) {
            throw new TorporException(
                    FailureReason.ImageDamaged,
                    "the image is damaged: the checksum of RAM block '" + block.name() + "' at offset " + offset
                            + " is " + JsonFields.hex(crc32c) + ", and " + JsonFields.hex(checksums[chunk])
                            + " was recorded");
        }
    }

    /** Returns the file's content. */
    byte[] encode() {
        ByteBuffer file = ByteBuffer.allocate(FIXED_BYTES + Integer.BYTES * checksums.length + Integer.BYTES);
        file.put(MAGIC).putInt(VERSION).putInt(headerCrc32c).putInt(checksums.length);
        for (int crc : checksums) {
            file.putInt(crc);
        }
        return file.putInt(crc(file.array())).array();
    }

    /**
     * Reads a table.
     *
     * @param area header of the image that it is to be of
     * @throws TorporException ImageFormatTooNew; ImageDamaged if it is torn, damaged, or another image's: then it says nothing
     *     of the image's pages
     */
    static ChunkTable decode(byte[] file, HeaderArea area) throws TorporException {
        if (file.length < FIXED_BYTES + Integer.BYTES || !Arrays.equals(MAGIC, Arrays.copyOf(file, MAGIC.length))) {
            throw damaged("it is not one");
        }
        ByteBuffer buffer = ByteBuffer.wrap(file);
        if (buffer.getInt(VERSION_OFFSET) > VERSION) {
            throw new TorporException(
                    FailureReason.ImageFormatTooNew,
                    "the table of page checksums has version " + buffer.getInt(VERSION_OFFSET)
                            + "; this release reads up to " + VERSION);
        }
        if (buffer.getInt(file.length - Integer.BYTES) != crc(file)) {
            throw damaged("its own checksum does not match");
        }
        int count = chunks(area.layout());
        if (buffer.getInt(VERSION_OFFSET) != VERSION
                || buffer.getInt(COUNT_OFFSET) != count
                || file.length != FIXED_BYTES + Integer.BYTES * (count + 1L)
                || buffer.getInt(IMAGE_OFFSET) != area.crc32c()) {
            throw damaged("it is of another image");
        }
        int[] checksums = new int[count];
        buffer.position(FIXED_BYTES).slice().asIntBuffer().get(checksums);
        return new ChunkTable(area.crc32c(), checksums);
    }

    private static int crc(byte[] file) {
        CRC32C crc = new CRC32C();
        crc.update(file, 0, file.length - Integer.BYTES);
        return (int) crc.getValue();
    }

    private static TorporException damaged(String why) {
        return new TorporException(FailureReason.ImageDamaged, "the table of page checksums is damaged: " + why);
    }
}
