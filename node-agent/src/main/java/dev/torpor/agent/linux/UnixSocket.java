package dev.torpor.agent.linux;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/**
 * A connected UNIX stream socket that can carry descriptors. Every wait has a deadline. One thread may send while
 * another receives.
 */
public final class UnixSocket implements AutoCloseable {
    // struct sockaddr_un: u16 family, char path[108]
    private static final int SUN_PATH_BYTES = 108;
    // struct msghdr of x86-64: name 0, namelen 8, iov 16, iovlen 24, control 32, controllen 40, flags 48
    private static final long MSGHDR_BYTES = 56;
    private static final long CMSG_HEADER_BYTES = 16;
    // What one message may bring; more of them the kernel closes by itself (MSG_CTRUNC of recvmsg(2)).
    private static final int TAKEN_MAX = 16;

    private static final long ROOM_LOOK_NANOS = TimeUnit.MILLISECONDS.toNanos(2);

    private final Descriptor descriptor;

    UnixSocket(Descriptor descriptor) {
        this.descriptor = descriptor;
    }

    /**
     * Connects to the socket that a descriptor names (opened with {@link Access#NAME_ONLY}), through
     * {@code /proc/self/fd}: the inode that was checked is the one that answers, whatever its name points to by now, and
     * however long its path is.
     */
    public static UnixSocket connect(Descriptor socketInode) throws IOException {
        return connect(socketInode.path().toString(), socketInode.toString());
    }

    /**
     * Does the same, but does not wait for ever for a peer that listens and accepts nobody: connect(2) would, once as many wait
     * as it allows (the backlog of listen(2)).
     *
     * @throws SocketTimeoutException if it has no room for one more within that time
     */
    public static UnixSocket connect(Descriptor socketInode, Duration patience) throws IOException {
        byte[] name = name(socketInode.path().toString());
        long until = System.nanoTime() + patience.toNanos();
        Descriptor socket = open(socketInode.toString(), Libc.O_NONBLOCK); // SOCK_NONBLOCK is the same number
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment address = address(arena, name);
            while (!connects(socket, address)) {
                if (System.nanoTime() > until) {
                    throw new SocketTimeoutException(socketInode + " has no room for a connection");
                }
                LockSupport.parkNanos(ROOM_LOOK_NANOS);
            }
            int flags = (int) Libc.call(Libc.FCNTL, "fcntl", socket.toString(), socket.number(), Libc.F_GETFL, 0);
            Libc.call(Libc.FCNTL, "fcntl", socket.toString(), socket.number(), Libc.F_SETFL, flags & ~Libc.O_NONBLOCK);
            return new UnixSocket(socket);
        } catch (IOException | RuntimeException e) {
            socket.close();
            throw e;
        }
    }

    private static boolean connects(Descriptor socket, MemorySegment address) throws IOException {
        try {
            Libc.call(Libc.CONNECT, "connect", socket.toString(), socket.number(), address, (int) address.byteSize());
            return true;
        } catch (ErrnoException e) {
            if (e.errno() == ErrnoException.EAGAIN) {
                return false;
            }
            throw e;
        }
    }

    /** Connects to a socket by a path that a person gave. */
    public static UnixSocket connect(Path path) throws IOException {
        return connect(path.toString(), path.toString());
    }

    static Descriptor open(String about) throws IOException {
        return open(about, 0);
    }

    private static Descriptor open(String about, int flags) throws IOException {
        return new Descriptor(
                (int) Libc.call(
                        Libc.SOCKET, "socket", about, Libc.AF_UNIX, Libc.SOCK_STREAM | Libc.SOCK_CLOEXEC | flags, 0),
                about);
    }

    /** Returns a path as bytes that fit in an address. */
    static byte[] name(String path) throws IOException {
        byte[] name = path.getBytes(StandardCharsets.UTF_8);
        if (name.length >= SUN_PATH_BYTES) {
            throw new IOException("socket path of " + name.length + " bytes is longer than " + (SUN_PATH_BYTES - 1));
        }
        return name;
    }

    static MemorySegment address(Arena arena, byte[] name) {
        MemorySegment address = arena.allocate(2 + SUN_PATH_BYTES, 2);
        address.set(ValueLayout.JAVA_SHORT, 0, (short) Libc.AF_UNIX);
        MemorySegment.copy(name, 0, address, ValueLayout.JAVA_BYTE, 2, name.length);
        return address;
    }

    private static UnixSocket connect(String path, String about) throws IOException {
        byte[] name = name(path);
        Descriptor socket = open(about);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment address = address(arena, name);
            Libc.call(Libc.CONNECT, "connect", about, socket.number(), address, (int) address.byteSize());
            return new UnixSocket(socket);
        } catch (IOException | RuntimeException e) {
            socket.close();
            throw e;
        }
    }

    /**
     * Sends bytes, and with the first of them copies of descriptors (SCM_RIGHTS of unix(7)).
     *
     * @throws IOException if the peer takes nothing within the deadline, or is gone
     */
    public void send(byte[] bytes, List<Descriptor> descriptors, Duration deadline) throws IOException {
        long end = System.nanoTime() + deadline.toNanos();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment data = arena.allocateFrom(ValueLayout.JAVA_BYTE, bytes);
            long done = 0;
            while (done < bytes.length) {
                await(Libc.POLLOUT, end);
                MemorySegment message = arena.allocate(MSGHDR_BYTES, Long.BYTES);
                MemorySegment vector = arena.allocate(16, Long.BYTES);
                vector.set(ValueLayout.ADDRESS, 0, data.asSlice(done));
                vector.set(ValueLayout.JAVA_LONG, 8, bytes.length - done);
                message.set(ValueLayout.ADDRESS, 16, vector);
                message.set(ValueLayout.JAVA_LONG, 24, 1);
                if (done == 0 && !descriptors.isEmpty()) {
                    MemorySegment control = rights(arena, descriptors);
                    message.set(ValueLayout.ADDRESS, 32, control);
                    message.set(ValueLayout.JAVA_LONG, 40, control.byteSize());
                }
                done += Libc.call(
                        Libc.SENDMSG,
                        "sendmsg",
                        descriptor.toString(),
                        descriptor.number(),
                        message,
                        Libc.MSG_DONTWAIT | Libc.MSG_NOSIGNAL);
            }
        }
    }

    /**
     * Waits for bytes.
     *
     * @return how many were put into the array; 0 when none came within the deadline, -1 when the peer has closed
     */
    public int receive(byte[] into, Duration deadline) throws IOException {
        long end = System.nanoTime() + deadline.toNanos();
        if (!poll(Libc.POLLIN, end)) {
            return 0;
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment data = arena.allocate(into.length);
            long n = Libc.call(
                    Libc.RECV,
                    "recv",
                    descriptor.toString(),
                    descriptor.number(),
                    data,
                    (long) into.length,
                    Libc.MSG_DONTWAIT);
            MemorySegment.copy(data, ValueLayout.JAVA_BYTE, 0, into, 0, (int) n);
            return n == 0 ? -1 : (int) n;
        } catch (ErrnoException e) {
            if (e.errno() == ErrnoException.EAGAIN) {
                return 0;
            }
            if (e.errno() == ErrnoException.ECONNRESET) {
                return -1;
            }
            throw e;
        }
    }

    /**
     * Waits for bytes and the descriptors that come with them (SCM_RIGHTS of unix(7)), which are the caller's to close.
     *
     * @param taken where they are added
     * @return how many bytes were put into the array; 0 when none came within the deadline, -1 when the peer has closed
     */
    public int receive(byte[] into, List<Descriptor> taken, Duration deadline) throws IOException {
        if (!poll(Libc.POLLIN, System.nanoTime() + deadline.toNanos())) {
            return 0;
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment data = arena.allocate(into.length);
            MemorySegment vector = arena.allocate(16, Long.BYTES);
            vector.set(ValueLayout.ADDRESS, 0, data);
            vector.set(ValueLayout.JAVA_LONG, 8, into.length);
            MemorySegment control = arena.allocate(CMSG_HEADER_BYTES + 4L * TAKEN_MAX, Long.BYTES);
            MemorySegment message = arena.allocate(MSGHDR_BYTES, Long.BYTES);
            message.set(ValueLayout.ADDRESS, 16, vector);
            message.set(ValueLayout.JAVA_LONG, 24, 1);
            message.set(ValueLayout.ADDRESS, 32, control);
            message.set(ValueLayout.JAVA_LONG, 40, control.byteSize());
            long n = Libc.call(
                    Libc.RECVMSG,
                    "recvmsg",
                    descriptor.toString(),
                    descriptor.number(),
                    message,
                    Libc.MSG_DONTWAIT | Libc.MSG_CMSG_CLOEXEC);
            take(control.asSlice(0, message.get(ValueLayout.JAVA_LONG, 40)), taken);
            MemorySegment.copy(data, ValueLayout.JAVA_BYTE, 0, into, 0, (int) n);
            return n == 0 ? -1 : (int) n;
        } catch (ErrnoException e) {
            if (e.errno() == ErrnoException.EAGAIN) {
                return 0;
            }
            if (e.errno() == ErrnoException.ECONNRESET) {
                return -1;
            }
            throw e;
        }
    }

    /**
     * Waits until a buffer is full or the peer has closed, however long that takes; {@link #shutdown} ends the wait.
     *
     * @param into a direct buffer, filled from its position to its limit
     * @return how many bytes were put into it: fewer than asked for only when no more will come
     */
    public int fill(ByteBuffer into) throws IOException {
        MemorySegment memory = MemorySegment.ofBuffer(into);
        long done = 0;
        while (done < memory.byteSize()) {
            long n;
            try {
                n = Libc.call(
                        Libc.RECV,
                        "recv",
                        descriptor.toString(),
                        descriptor.number(),
                        memory.asSlice(done),
                        memory.byteSize() - done,
                        Libc.MSG_WAITALL);
            } catch (ErrnoException e) {
                if (e.errno() != ErrnoException.ECONNRESET) {
                    throw e;
                }
                n = 0; // it closed with something unread: to us that is the same
            }
            if (n == 0) {
                break;
            }
            done += n;
        }
        into.position(into.position() + (int) done);
        return (int) done;
    }

    /**
     * Sends all of a buffer, however long the peer takes; {@link #shutdown} ends the wait.
     *
     * @param from a direct buffer, taken from its position to its limit
     * @throws IOException if the peer has closed, or the socket was shut down
     */
    public void drain(ByteBuffer from) throws IOException {
        MemorySegment memory = MemorySegment.ofBuffer(from);
        long done = 0;
        while (done < memory.byteSize()) {
            done += Libc.call(
                    Libc.SEND,
                    "send",
                    descriptor.toString(),
                    descriptor.number(),
                    memory.asSlice(done),
                    memory.byteSize() - done,
                    Libc.MSG_NOSIGNAL);
        }
        from.position(from.limit());
    }

    /** Ends the conversation both ways: whoever waits in {@link #fill} or {@link #drain}, here or at the peer, wakes. */
    public void shutdown() throws IOException {
        try {
            Libc.call(Libc.SHUTDOWN, "shutdown", descriptor.toString(), descriptor.number(), Libc.SHUT_RDWR);
        } catch (ErrnoException e) {
            if (e.errno() != ErrnoException.ENOTCONN) {
                throw e;
            }
        }
    }

    /** Returns who is on the other end: who listens there, or, of a connection that was accepted, who connected. */
    public PeerCredentials peer() throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            // struct ucred: pid, uid, gid
            MemorySegment credentials = arena.allocate(12, 4);
            MemorySegment length = arena.allocateFrom(ValueLayout.JAVA_INT, 12);
            Libc.call(
                    Libc.GETSOCKOPT,
                    "getsockopt",
                    descriptor.toString(),
                    descriptor.number(),
                    Libc.SOL_SOCKET,
                    Libc.SO_PEERCRED,
                    credentials,
                    length);
            return new PeerCredentials(
                    credentials.get(ValueLayout.JAVA_INT, 0), credentials.get(ValueLayout.JAVA_INT, 4));
        }
    }

    @Override
    public void close() throws IOException {
        descriptor.close();
    }

    // struct cmsghdr: u64 length, i32 level, i32 type; then the descriptors, padded to 8 bytes.
    private static MemorySegment rights(Arena arena, List<Descriptor> descriptors) {
        long used = CMSG_HEADER_BYTES + 4L * descriptors.size();
        MemorySegment control = arena.allocate((used + 7) / 8 * 8, Long.BYTES);
        control.set(ValueLayout.JAVA_LONG, 0, used);
        control.set(ValueLayout.JAVA_INT, 8, Libc.SOL_SOCKET);
        control.set(ValueLayout.JAVA_INT, 12, Libc.SCM_RIGHTS);
        for (int i = 0; i < descriptors.size(); i++) {
            control.set(
                    ValueLayout.JAVA_INT,
                    CMSG_HEADER_BYTES + 4L * i,
                    descriptors.get(i).number());
        }
        return control;
    }

    private void take(MemorySegment control, List<Descriptor> taken) {
        long at = 0;
        while (at + CMSG_HEADER_BYTES <= control.byteSize()) {
            long length = control.get(ValueLayout.JAVA_LONG, at);
            if (length < CMSG_HEADER_BYTES || length > control.byteSize() - at) {
                return;
            }
            if (control.get(ValueLayout.JAVA_INT, at + 8) == Libc.SOL_SOCKET
                    && control.get(ValueLayout.JAVA_INT, at + 12) == Libc.SCM_RIGHTS) {
                for (long fd = at + CMSG_HEADER_BYTES; fd + 4 <= at + length; fd += 4) {
                    taken.add(new Descriptor(
                            control.get(ValueLayout.JAVA_INT, fd), "what " + descriptor + " has brought"));
                }
            }
            at += (length + 7) / 8 * 8;
        }
    }

    private void await(short events, long end) throws IOException {
        if (!poll(events, end)) {
            throw new SocketTimeoutException("the peer takes nothing");
        }
    }

    private boolean poll(short events, long end) throws IOException {
        // Rounded up: less than a millisecond is no reason to spin.
        long leftMillis = Math.max(0, (end - System.nanoTime() + 999_999) / 1_000_000);
        try (Arena arena = Arena.ofConfined()) {
            // struct pollfd: i32 fd, i16 events, i16 revents
            MemorySegment pollfd = arena.allocate(8, 4);
            pollfd.set(ValueLayout.JAVA_INT, 0, descriptor.number());
            pollfd.set(ValueLayout.JAVA_SHORT, 4, events);
            int timeoutMillis = (int) Math.min(leftMillis, Integer.MAX_VALUE);
            return Libc.call(Libc.POLL, "poll", descriptor.toString(), pollfd, 1L, timeoutMillis) > 0;
        }
    }
}
