package dev.torpor.agent.linux;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.Optional;

/**
 * A UNIX stream socket that is listened on, below a directory that others can write to: bind(2) makes a new file or fails,
 * whatever stands in its place, and follows no link. Anybody who reaches the file may connect; who it was is asked of the
 * kernel ({@link UnixSocket#peer}). Its name goes when it is closed.
 */
public final class UnixListener implements AutoCloseable {
    private static final int ANYBODY = 0666;

    private final Directory directory;
    private final String name;
    private final Descriptor socket;

    private UnixListener(Directory directory, String name, Descriptor socket) {
        this.directory = directory;
        this.name = name;
        this.socket = socket;
    }

    /**
     * Listens.
     *
     * @param directory stays open for as long as this; the caller closes it
     * @param name of the file, which is removed first if it is there
     * @param backlog how many connections may wait to be accepted
     * @throws IOException if something that cannot be removed is there, or was put there meanwhile
     */
    public static UnixListener listen(Directory directory, String name, int backlog) throws IOException {
        var _ = directory.unlink(name);
        Descriptor socket = UnixSocket.open(name);
        try (Arena arena = Arena.ofConfined()) {
            // Through the directory's own descriptor: no step of the path can be exchanged, and it is short enough.
            MemorySegment address = UnixSocket.address(arena, UnixSocket.name(directory.path() + "/" + name));
            Libc.call(Libc.BIND, "bind", name, socket.number(), address, (int) address.byteSize());
            try (Descriptor inode = directory.openFile(name, Access.NAME_ONLY)) {
                share(arena, inode);
            }
            Libc.call(Libc.LISTEN, "listen", name, socket.number(), backlog);
            return new UnixListener(directory, name, socket);
        } catch (IOException | RuntimeException e) {
            socket.close();
            throw e;
        }
    }

    /** bind(2) takes the mode from the umask; the file that is opened up is the one that was looked at, and is ours. */
    private static void share(Arena arena, Descriptor inode) throws IOException {
        FileFacts facts = inode.facts();
        if (!facts.isSocket() || facts.uid() != Libc.call(Libc.GETEUID, "geteuid", "")) {
            throw new IOException(inode + " was exchanged for something else");
        }
        Libc.call(
                Libc.CHMOD,
                "chmod",
                inode.toString(),
                arena.allocateFrom(inode.path().toString()),
                ANYBODY);
    }

    /**
     * Waits for a connection.
     *
     * @return empty if none came within that time
     */
    public Optional<UnixSocket> accept(Duration atMost) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            // struct pollfd: i32 fd, i16 events, i16 revents
            MemorySegment pollfd = arena.allocate(8, 4);
            pollfd.set(ValueLayout.JAVA_INT, 0, socket.number());
            pollfd.set(ValueLayout.JAVA_SHORT, 4, Libc.POLLIN);
            if (Libc.call(Libc.POLL, "poll", name, pollfd, 1L, (int) atMost.toMillis()) == 0) {
                return Optional.empty();
            }
            long accepted = Libc.call(
                    Libc.ACCEPT4,
                    "accept",
                    name,
                    socket.number(),
                    MemorySegment.NULL,
                    MemorySegment.NULL,
                    Libc.SOCK_CLOEXEC);
            return Optional.of(new UnixSocket(new Descriptor((int) accepted, name)));
        }
    }

    @Override
    public void close() throws IOException {
        try (socket) {
            var _ = directory.unlink(name);
        }
    }
}
