package dev.torpor.agent.image;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Looks at what is around the blocks of zstd (RFC 8878, section 3.1): a frame may have a checksum of its content, and need not.
 *
 * <pre>
 *  bytes
 *      4  0xFD2FB528, little-endian; or 0x184D2A50 to 0x184D2A5F, u32 n: n bytes to be skipped
 *      1  descriptor: bits 6-7 length of the content's size, 5 no window, 2 checksum, 0-1 length of the dictionary's number
 *      1  window, unless the descriptor says that there is none
 *   0-12  number of the dictionary, size of the content
 *      3  of each block, little-endian: bit 0 whether it is the last, 1-2 its type, 3-23 its size
 *      4  checksum, if the descriptor says so
 * </pre>
 */
final class ZstdFrames {
    private static final int MAGIC = 0xFD2F_B528;
    private static final int MAGIC_TO_SKIP = 0x184D_2A50;
    private static final int ANY_TO_SKIP = 0xFFFF_FFF0;
    private static final int BLOCK_HEADER_BYTES = 3;
    private static final int CHECKSUM_BYTES = 4;
    /** A block of this type is one byte, repeated. */
    private static final int REPEATED = 1;

    private static final int[] DICTIONARY_BYTES = {0, 1, 2, 4};
    private static final int[] SIZE_BYTES = {0, 2, 4, 8};

    private ZstdFrames() {}

    /**
     * Tells whether all frames have a checksum; of frames that could be decompressed.
     *
     * @param to end of the last one
     */
    static boolean allHaveChecksums(ByteSource file, long from, long to) throws IOException {
        boolean any = false;
        long at = from;
        while (at < to) {
            int magic = word(file, at, Integer.BYTES);
            if ((magic & ANY_TO_SKIP) == MAGIC_TO_SKIP) {
                at += 2L * Integer.BYTES + (word(file, at + Integer.BYTES, Integer.BYTES) & 0xFFFF_FFFFL);
                continue;
            }
            int descriptor = word(file, at + Integer.BYTES, 1);
            if (magic != MAGIC || (descriptor & 4) == 0) {
                return false;
            }
            any = true;
            at = endOfBlocks(file, at + Integer.BYTES + 1 + headerBytes(descriptor), to) + CHECKSUM_BYTES;
        }
        return any;
    }

    /** Returns the bytes of a frame's header behind its descriptor. */
    private static int headerBytes(int descriptor) {
        boolean window = (descriptor & 0x20) == 0;
        int size = SIZE_BYTES[descriptor >> 6 & 3];
        if (size == 0 && !window) {
            size = 1;
        }
        return (window ? 1 : 0) + DICTIONARY_BYTES[descriptor & 3] + size;
    }

    private static long endOfBlocks(ByteSource file, long first, long to) throws IOException {
        long at = first;
        while (at < to) {
            int header = word(file, at, BLOCK_HEADER_BYTES);
            at += BLOCK_HEADER_BYTES + ((header >> 1 & 3) == REPEATED ? 1 : header >>> 3);
            if ((header & 1) == 1) {
                break;
            }
        }
        return at;
    }

    /** Returns some bytes as a little-endian number; those behind the end of the file are zero. */
    private static int word(ByteSource file, long at, int bytes) throws IOException {
        ByteBuffer word = ByteBuffer.allocate(Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        var _ = file.read(word.limit(bytes), at);
        return word.clear().getInt();
    }
}
