package dev.torpor.agent.image;

import java.nio.ByteBuffer;

/**
 * Tells whether device state ends where the file ends. QEMU ends it with a zero byte (QEMU_VM_EOF), and, unless the
 * machine has {@code suppress-vmdesc}, goes on with {@code u8 6, u32 length, JSON} that describes it
 * (qemu_savevm_state_complete_precopy_non_iterable of migration/savevm.c): the length must lead to the end of the file.
 */
final class StreamEnd {
    private static final int EOF = 0;
    private static final int DESCRIPTION = 6;
    // zero byte, 6, u32 length, '{'
    private static final int WINDOW_BYTES = 7;

    private final long totalBytes;
    private long seenBytes;
    private long window;
    private boolean described;

    StreamEnd(long totalBytes) {
        this.totalBytes = totalBytes;
    }

    /** Takes the next bytes of device state. */
    void update(ByteBuffer bytes) {
        while (bytes.hasRemaining()) {
            window = (window << 8 | (bytes.get() & 0xFF)) & 0xFF_FFFF_FFFF_FFFFL;
            seenBytes++;
            if (!described
                    && seenBytes >= WINDOW_BYTES
                    && (window & 0xFF) == '{'
                    && (window >>> 40 & 0xFF) == DESCRIPTION
                    && window >>> 48 == EOF) {
                long length = window >>> 8 & 0xFFFF_FFFFL;
                described = length == totalBytes - seenBytes + 1;
            }
        }
    }

    boolean found() {
        int last = (int) (window & 0xFF);
        return described ? last == '}' : seenBytes > 0 && last == EOF;
    }
}
