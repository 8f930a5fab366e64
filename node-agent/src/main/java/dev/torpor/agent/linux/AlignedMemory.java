package dev.torpor.agent.linux;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Buffers like those of {@link AlignedBuffer}, whose memory goes back to the kernel when this is closed: not at some collection of
 * garbage, of which an agent at rest makes so little that the next may be hours away, and not to malloc(3), which keeps what
 * is freed. Not to be closed before whoever uses a buffer is done. Thread-safe.
 *
 * <p>All of them in the process together have {@link #BYTES_MAX} at most: no limit of the JVM's counts them, and that of the
 * container would end the agent in the middle of all its work.
 */
public final class AlignedMemory implements AutoCloseable {
    /** What is left of the agent's 256 MiB beside its heap and its code; as much as {@code -XX:MaxDirectMemorySize} lets others have. */
    static final long BYTES_MAX = 80L << 20;

    private static final AtomicLong HELD_BYTES = new AtomicLong();

    private final Arena arena = Arena.ofShared();

    /**
     * Returns a zeroed buffer of at least this many bytes, a multiple of the alignment.
     *
     * @throws IOException if all have as much as they may, or the kernel has no room in this process: it may pass
     */
    @SuppressWarnings("restricted") // The range is the one that was just mapped, and lives for as long as its mapping.
    public ByteBuffer allocate(int bytes) throws IOException {
        long rounded = AlignedBuffer.alignUp(bytes);
        if (HELD_BYTES.addAndGet(rounded) > BYTES_MAX) {
            HELD_BYTES.addAndGet(-rounded);
            throw new IOException("other saves and resumes have the " + (BYTES_MAX >> 20) + " MiB that there are");
        }
        long address;
        try {
            address = Libc.call(
                    Libc.MMAP,
                    "mmap",
                    "",
                    0L,
                    rounded,
                    Libc.PROT_READ | Libc.PROT_WRITE,
                    Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS,
                    -1,
                    0L);
        } catch (IOException e) {
            HELD_BYTES.addAndGet(-rounded);
            throw e;
        }
        MemorySegment mapped = MemorySegment.ofAddress(address);
        try {
            return mapped.reinterpret(rounded, arena, AlignedMemory::unmap).asByteBuffer();
        } catch (IllegalStateException e) { // closed
            unmap(mapped.reinterpret(rounded));
            throw e;
        }
    }

    private static void unmap(MemorySegment mapped) {
        try {
            Libc.call(Libc.MUNMAP, "munmap", "", mapped.address(), mapped.byteSize());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        HELD_BYTES.addAndGet(-mapped.byteSize());
    }

    /** Gives everything back; buffers are of no use any more. A second call does nothing. */
    @Override
    public void close() {
        if (arena.scope().isAlive()) {
            arena.close();
        }
    }
}
