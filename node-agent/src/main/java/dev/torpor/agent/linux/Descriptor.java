package dev.torpor.agent.linux;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Instant;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * An open file descriptor and its owner: closed once, by whoever holds this. Always close-on-exec. Reads and writes are
 * positional and complete, or fail.
 */
public final class Descriptor implements AutoCloseable {
    // struct stat of x86-64: 144 bytes.
    private static final long STAT_BYTES = 144;
    private static final long ST_DEV = 0;
    private static final long ST_INO = 8;
    private static final long ST_MODE = 24;
    private static final long ST_UID = 28;
    private static final long ST_SIZE = 48;
    private static final long ST_BLOCKS = 64;
    private static final long ST_MTIME = 88;

    private final int number;
    private final String about;
    private final AtomicBoolean closed = new AtomicBoolean();

    Descriptor(int number, String about) {
        this.number = number;
        this.about = about;
    }

    /** Returns the descriptor's number, valid until {@link #close}. */
    public int number() {
        if (closed.get()) {
            throw new IllegalStateException("descriptor of " + about + " is closed");
        }
        return number;
    }

    /** Returns a path that names the open file itself, whatever has become of its name. */
    public Path path() {
        return Path.of("/proc/self/fd/" + number());
    }

    /** Returns type, size and owner of the open file (fstat(2)). */
    public FileFacts facts() throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment stat = arena.allocate(STAT_BYTES, Long.BYTES);
            Libc.call(Libc.FSTAT, "fstat", about, number(), stat);
            return new FileFacts(
                    stat.get(ValueLayout.JAVA_INT, ST_MODE),
                    stat.get(ValueLayout.JAVA_INT, ST_UID),
                    stat.get(ValueLayout.JAVA_LONG, ST_DEV),
                    stat.get(ValueLayout.JAVA_LONG, ST_INO),
                    stat.get(ValueLayout.JAVA_LONG, ST_SIZE),
                    stat.get(ValueLayout.JAVA_LONG, ST_BLOCKS) * 512,
                    Instant.ofEpochSecond(
                            stat.get(ValueLayout.JAVA_LONG, ST_MTIME),
                            stat.get(ValueLayout.JAVA_LONG, ST_MTIME + Long.BYTES)));
        }
    }

    /** Returns the status flags of the open file (F_GETFL of fcntl(2)): access mode, O_DIRECT and so on. */
    public OpenFlags flags() throws IOException {
        return new OpenFlags((int) Libc.call(Libc.FCNTL, "fcntl", about, number(), Libc.F_GETFL, 0));
    }

    /**
     * Fills the buffer from the file at an offset.
     *
     * @param buffer filled from its position to its limit; a direct buffer is read into without a copy
     * @return bytes read: less than asked for only at the end of the file
     */
    public int read(ByteBuffer buffer, long offsetBytes) throws IOException {
        int wanted = buffer.remaining();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment memory = buffer.isDirect() ? MemorySegment.ofBuffer(buffer) : arena.allocate(wanted);
            int done = 0;
            while (done < wanted) {
                long n = Libc.call(
                        Libc.PREAD,
                        "pread",
                        about,
                        number(),
                        memory.asSlice(done),
                        (long) wanted - done,
                        offsetBytes + done);
                if (n == 0) {
                    break;
                }
                done += (int) n;
            }
            if (buffer.isDirect()) {
                buffer.position(buffer.position() + done);
            } else {
                buffer.put(memory.asSlice(0, done).asByteBuffer());
            }
            return done;
        }
    }

    /**
     * Returns where the next bytes are that are not in a hole (SEEK_DATA of lseek(2)); a file system without holes says that
     * all is data.
     *
     * @return an offset from the one given on; {@link Long#MAX_VALUE} if there is a hole up to the end of the file
     */
    public long nextData(long offsetBytes) throws IOException {
        try {
            return Libc.call(Libc.LSEEK, "lseek", about, number(), offsetBytes, Libc.SEEK_DATA);
        } catch (ErrnoException e) {
            if (e.errno() == ErrnoException.ENXIO) {
                return Long.MAX_VALUE;
            }
            throw e;
        }
    }

    /** Writes the whole buffer to the file at an offset; zero progress is an error. */
    public void write(ByteBuffer buffer, long offsetBytes) throws IOException {
        int wanted = buffer.remaining();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment memory;
            if (buffer.isDirect()) {
                memory = MemorySegment.ofBuffer(buffer);
            } else {
                memory = arena.allocate(wanted);
                memory.copyFrom(MemorySegment.ofBuffer(buffer));
            }
            int done = 0;
            while (done < wanted) {
                long n = Libc.call(
                        Libc.PWRITE,
                        "pwrite",
                        about,
                        number(),
                        memory.asSlice(done),
                        (long) wanted - done,
                        offsetBytes + done);
                if (n == 0) {
                    throw new IOException("pwrite " + about + ": no progress at offset " + (offsetBytes + done));
                }
                done += (int) n;
            }
            buffer.position(buffer.limit());
        }
    }

    /**
     * Writes to a pipe or FIFO opened without blocking, in one call.
     *
     * @return whether all bytes went in; at most PIPE_BUF (4096) bytes are guaranteed to go in together (pipe(7))
     */
    public boolean offer(byte[] bytes) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment memory = arena.allocateFrom(ValueLayout.JAVA_BYTE, bytes);
            return Libc.call(Libc.WRITE, "write", about, number(), memory, (long) bytes.length) == bytes.length;
        } catch (ErrnoException e) {
            if (e.errno() == ErrnoException.EAGAIN) {
                return false;
            }
            throw e;
        }
    }

    /**
     * Sets the permission bits of the open file (fchmod(2)); its owner may, without any capability.
     *
     * @param mode permission bits, as 0600
     */
    public void changeMode(int mode) throws IOException {
        Libc.call(Libc.FCHMOD, "fchmod", about, number(), mode);
    }

    /** Flushes the file's data, and the metadata needed to read it back, to the disk (fdatasync(2)). */
    public void flushData() throws IOException {
        Libc.call(Libc.FDATASYNC, "fdatasync", about, number());
    }

    /** Flushes data and metadata to the disk (fsync(2)). */
    public void flush() throws IOException {
        Libc.call(Libc.FSYNC, "fsync", about, number());
    }

    /**
     * Tells whether nobody at all has the file open for writing, by taking and dropping a read lease (F_SETLEASE of
     * fcntl(2), granted only then). This descriptor must be read-only.
     */
    public boolean hasNoWriter() throws IOException {
        try {
            Libc.call(Libc.FCNTL, "fcntl", about, number(), Libc.F_SETLEASE, Libc.F_RDLCK);
        } catch (ErrnoException e) {
            if (e.errno() == ErrnoException.EAGAIN) {
                return false;
            }
            throw e;
        }
        Libc.call(Libc.FCNTL, "fcntl", about, number(), Libc.F_SETLEASE, Libc.F_UNLCK);
        return true;
    }

    /** Takes an exclusive lock on the open file (flock(2)), held until it is closed; false if somebody else has it. */
    public boolean tryLock() throws IOException {
        try {
            Libc.call(Libc.FLOCK, "flock", about, number(), Libc.LOCK_EX | Libc.LOCK_NB);
            return true;
        } catch (ErrnoException e) {
            if (e.errno() == ErrnoException.EAGAIN) {
                return false;
            }
            throw e;
        }
    }

    /** Closes the descriptor; a second call does nothing. */
    @Override
    public void close() throws IOException {
        if (closed.compareAndSet(false, true)) {
            Libc.call(Libc.CLOSE, "close", about, number);
        }
    }

    @Override
    public String toString() {
        return about;
    }
}
