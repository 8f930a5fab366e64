package dev.torpor.agent.linux;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;

/**
 * Buffers like those of {@link AlignedBuffer}, whose memory goes back to the kernel when this is closed: not at some collection of
 * garbage, of which an agent at rest makes so little that the next may be hours away, and not to malloc(3), which keeps what
 * is freed. Not to be closed before whoever uses a buffer is done. Thread-safe.
 */
public final class AlignedMemory implements AutoCloseable {
    private final Arena arena = Arena.ofShared();

    /**
     * Returns a zeroed buffer of at least this many bytes, a multiple of the alignment.
     *
     * @throws ErrnoException if the kernel has no room in this process
     */
    @SuppressWarnings("restricted") // The range is the one that was just mapped, and lives for as long as its mapping.
    public ByteBuffer allocate(int bytes) throws IOException {
        long rounded = AlignedBuffer.alignUp(bytes);
        long address = Libc.call(
                Libc.MMAP,
                "mmap",
                "",
                0L,
                rounded,
                Libc.PROT_READ | Libc.PROT_WRITE,
                Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS,
                -1,
                0L);
        return MemorySegment.ofAddress(address)
                .reinterpret(rounded, arena, AlignedMemory::unmap)
                .asByteBuffer();
    }

    private static void unmap(MemorySegment mapped) {
        try {
            Libc.call(Libc.MUNMAP, "munmap", "", mapped.address(), mapped.byteSize());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Gives everything back; buffers are of no use any more. A second call does nothing. */
    @Override
    public void close() {
        if (arena.scope().isAlive()) {
            arena.close();
        }
    }
}
