package dev.torpor.agent.image;

import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * Tells whether device state ends where the file ends. QEMU ends it with a zero byte (QEMU_VM_EOF), and, unless the
 * machine has {@code suppress-vmdesc}, goes on with {@code u8 6, u32 length, JSON} that describes it
 * (qemu_savevm_state_complete_precopy_non_iterable of migration/savevm.c): the length must lead to the end of the file.
 */
final class StreamEnd {
    private static final int PIECE_BYTES = 64 << 10;
    private static final int EOF = 0;
    private static final int DESCRIPTION = 6;
    // zero byte, 6, u32 length, '{'
    private static final int WINDOW_BYTES = 7;

    private long seenBytes;
    private long window;
    /** Where the description ends that was begun last: there is no zero byte in it, so none is begun within it. */
    private long describedBytes = -1;

    /** Takes a part of a stream, a piece at a time; less if it ends before. */
    static StreamEnd of(ByteSource stream, long from, long to) throws IOException {
        StreamEnd end = new StreamEnd();
        ByteBuffer bytes = ByteBuffer.allocate(PIECE_BYTES);
        for (long at = from; at < to; at += bytes.limit()) {
            if (stream.read(bytes.clear().limit((int) Math.min(PIECE_BYTES, to - at)), at) == 0) {
                break;
            }
            end.update(bytes.flip().duplicate());
        }
        return end;
    }

    /** Takes the next bytes of device state. */
    void update(ByteBuffer bytes) {
        while (bytes.hasRemaining()) {
            window = (window << 8 | (bytes.get() & 0xFF)) & 0xFF_FFFF_FFFF_FFFFL;
            seenBytes++;
            if (seenBytes >= WINDOW_BYTES
                    && (window & 0xFF) == '{'
                    && (window >>> 40 & 0xFF) == DESCRIPTION
                    && window >>> 48 == EOF) {
                describedBytes = seenBytes - 1 + (window >>> 8 & 0xFFFF_FFFFL);
            }
        }
    }

    /** Tells the same of a stream that is known to have a description, so that one that was cut off is not taken for whole. */
    boolean foundDescription() {
        return describedBytes == seenBytes && (window & 0xFF) == '}';
    }

    boolean found() {
        int last = (int) (window & 0xFF);
        return describedBytes == seenBytes ? last == '}' : seenBytes > 0 && last == EOF;
    }
}
