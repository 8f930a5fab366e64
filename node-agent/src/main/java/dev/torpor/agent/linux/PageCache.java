package dev.torpor.agent.linux;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Which parts of a file are in memory, by whoever read them, and what is there: mincore(2) of a mapping, so that asking reads
 * nothing. Java has neither a mapping of that size nor the question. True answers are given to the owner of the file and to
 * who may write it; others hear that all is there (since Linux 5.2). Not thread-safe.
 *
 * <p>read(2) of a page that the kernel has read ahead has it read on, for whoever came there first and at the expense of that one's
 * memory cgroup, whatever it was told of the file (tried with Linux 6.18: one that followed a reader of 256 MiB was charged for 254 of them). A mapping with
 * {@code MADV_RANDOM} does not (for none). It is read through {@code /proc/PID/mem}, where a page that the disk cannot read, or
 * that is not in the file any more, is an error and no signal.
 */
public final class PageCache implements AutoCloseable {
    private static final int PAGE_BYTES = 4096;
    private static final int ASK_BYTES_MAX = 1 << 20;

    private final Descriptor ourMemory;
    private final String about;
    private final long address;
    private final long lengthBytes;
    private final AtomicBoolean closed = new AtomicBoolean();
    // Made and used on different threads, one after the other.
    private final Arena arena = Arena.ofShared();
    private final MemorySegment answer = arena.allocate(ASK_BYTES_MAX / PAGE_BYTES);

    private PageCache(Descriptor ourMemory, String about, long address, long lengthBytes) {
        this.ourMemory = ourMemory;
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
        try {
            Libc.call(Libc.MADVISE, "madvise", file.toString(), address, length, Libc.MADV_RANDOM);
            return new PageCache(openOurMemory(), file.toString(), address, length);
        } catch (IOException e) {
            Libc.call(Libc.MUNMAP, "munmap", file.toString(), address, length);
            throw e;
        }
    }

    private static Descriptor openOurMemory() throws IOException {
        Path process = Path.of("/proc", Long.toString(ProcessHandle.current().pid()));
        try (Directory directory = Directory.open(process)) {
            return directory.openFile("mem", Access.READ);
        }
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

    /**
     * Fills the buffer from the file at an offset, as who has the file mapped sees it. What {@link #holds} found has the kernel read
     * nothing; what went since is read again, page by page.
     *
     * @param buffer as {@link Descriptor#read} takes it
     * @return bytes read: less than asked for only at the end that the file had when this was made
     * @throws ErrnoException EIO if the disk cannot read a page, or the file was cut off
     */
    public int read(ByteBuffer buffer, long offsetBytes) throws IOException {
        if (closed.get()) {
            throw new IllegalStateException("closed");
        }
        long left = Math.max(0, lengthBytes - offsetBytes);
        int limit = buffer.limit();
        buffer.limit(buffer.position() + (int) Math.min(buffer.remaining(), left));
        try {
            return ourMemory.read(buffer, address + offsetBytes);
        } finally {
            buffer.limit(limit);
        }
    }

    @Override
    public void close() throws IOException {
        if (closed.compareAndSet(false, true)) {
            arena.close();
            try {
                ourMemory.close();
            } finally {
                Libc.call(Libc.MUNMAP, "munmap", about, address, lengthBytes);
            }
        }
    }
}
