package dev.torpor.agent.linux;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Which parts of a file are in memory, by whoever read them: mincore(2) of a mapping that nobody touches, so that asking reads
 * nothing. Java has neither a mapping of that size nor the question. True answers are given to the owner of the file and to
 * who may write it; others hear that all is there (since Linux 5.2). Not thread-safe.
 */
public final class PageCache implements AutoCloseable {
    private static final int PAGE_BYTES = 4096;
    private static final int ASK_BYTES_MAX = 1 << 20;

    private final String about;
    private final long address;
    private final long lengthBytes;
    private final AtomicBoolean closed = new AtomicBoolean();
    // Made and used on different threads, one after the other.
    private final Arena arena = Arena.ofShared();
    private final MemorySegment answer = arena.allocate(ASK_BYTES_MAX / PAGE_BYTES);

    private PageCache(String about, long address, long lengthBytes) {
        this.about = about;
        this.address = address;
        this.lengthBytes = lengthBytes;
    }

    /** Looks at the file of this name. */
    public static PageCache of(Directory directory, String name) throws IOException {
        try (Descriptor file = directory.openFile(name, Access.READ)) {
            return of(file);
        }
    }

    /** Looks at a file, which may be closed afterwards. */
    public static PageCache of(Descriptor file) throws IOException {
        long length = file.facts().sizeBytes();
        long address = Libc.call(
                Libc.MMAP, "mmap", file.toString(), 0L, length, Libc.PROT_READ, Libc.MAP_SHARED, file.number(), 0L);
        return new PageCache(file.toString(), address, length);
    }

    /**
     * Tells whether all of a range is in memory.
     *
     * @param offsetBytes a multiple of 4096
     * @param bytes more than zero; what lies behind the end of the file is not there
     */
    public boolean holds(long offsetBytes, long bytes) throws IOException {
        if (offsetBytes % PAGE_BYTES != 0 || offsetBytes < 0 || bytes <= 0) {
            throw new IllegalArgumentException("not a range of pages: " + offsetBytes + ", " + bytes);
        }
        if (closed.get()) {
            throw new IllegalStateException("closed");
        }
        if (offsetBytes + bytes > lengthBytes) {
            return false;
        }
        for (long done = 0; done < bytes; done += ASK_BYTES_MAX) {
            long length = Math.min(ASK_BYTES_MAX, bytes - done);
            Libc.call(Libc.MINCORE, "mincore", about, address + offsetBytes + done, length, answer);
            for (long page = 0; page * PAGE_BYTES < length; page++) {
                if ((answer.get(ValueLayout.JAVA_BYTE, page) & 1) == 0) {
                    return false;
                }
            }
        }
        return true;
    }

    @Override
    public void close() throws IOException {
        if (closed.compareAndSet(false, true)) {
            arena.close();
            Libc.call(Libc.MUNMAP, "munmap", about, address, lengthBytes);
        }
    }
}
