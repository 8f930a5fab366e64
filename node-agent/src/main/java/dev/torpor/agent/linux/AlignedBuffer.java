package dev.torpor.agent.linux;

import java.nio.ByteBuffer;

/** Memory for direct I/O: off the heap, aligned, a multiple of the alignment long. */
public final class AlignedBuffer {
    /** Alignment of memory, offsets and lengths that every disk we know accepts, in bytes. */
    public static final int ALIGNMENT_BYTES = 4096;

    private AlignedBuffer() {}

    /** Returns a zeroed buffer of at least this many bytes, freed by the garbage collector. */
    public static ByteBuffer allocate(int bytes) {
        int rounded = (int) alignUp(bytes);
        return ByteBuffer.allocateDirect(rounded + ALIGNMENT_BYTES)
                .alignedSlice(ALIGNMENT_BYTES)
                .limit(rounded)
                .slice();
    }

    /** Rounds up to a multiple of the alignment. */
    public static long alignUp(long bytes) {
        return (bytes + ALIGNMENT_BYTES - 1) / ALIGNMENT_BYTES * ALIGNMENT_BYTES;
    }
}
