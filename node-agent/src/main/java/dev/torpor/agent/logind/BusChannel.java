package dev.torpor.agent.logind;

import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.UnixSocket;
import java.io.IOException;
import java.net.Socket;
import java.net.SocketAddress;
import java.net.SocketOption;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.SocketChannel;
import java.nio.channels.spi.SelectorProvider;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * A connection to a bus as dbus-java wants one: a blocking channel. What it cannot do, nobody asks of it. One thread may
 * read while another writes; closing it ends both.
 */
final class BusChannel extends SocketChannel {
    // Only says how often a thread that waits looks whether the channel was closed without its noticing.
    private static final Duration READ_POLL = Duration.ofMinutes(1);
    private static final Duration WRITE_PATIENCE = Duration.ofSeconds(5);
    // Only logind's answers bring descriptors that somebody wants. Anybody on the bus may send others.
    private static final int UNCLAIMED_MAX = 8;

    private final UnixSocket socket;
    private final Object reading = new Object();
    private final Object writing = new Object();
    private final List<Descriptor> unclaimed = new ArrayList<>();
    private final List<Descriptor> fresh = new ArrayList<>();

    BusChannel(Path path) throws IOException {
        super(SelectorProvider.provider());
        socket = UnixSocket.connect(path);
    }

    @Override
    public int read(ByteBuffer into) throws IOException {
        if (!into.hasRemaining()) {
            return 0;
        }
        byte[] bytes = new byte[into.remaining()];
        List<Descriptor> taken = new ArrayList<>();
        synchronized (reading) {
            int n = 0;
            while (n == 0) {
                if (!isOpen()) {
                    throw new ClosedChannelException();
                }
                n = socket.receive(bytes, taken, READ_POLL);
            }
            if (n > 0) {
                into.put(bytes, 0, n);
            }
            keep(taken);
            return n;
        }
    }

    @Override
    public int write(ByteBuffer from) throws IOException {
        byte[] bytes = new byte[from.remaining()];
        from.get(bytes);
        synchronized (writing) {
            if (!isOpen()) {
                throw new ClosedChannelException();
            }
            socket.send(bytes, List.of(), WRITE_PATIENCE);
        }
        return bytes.length;
    }

    /** Returns the numbers of the descriptors that came since the last call: those of the message that was read since. */
    List<Integer> fresh() {
        synchronized (unclaimed) {
            List<Integer> numbers = fresh.stream().map(Descriptor::number).toList();
            fresh.clear();
            return numbers;
        }
    }

    /** Hands a descriptor over to the caller; empty if it is not there any more. */
    Optional<Descriptor> claim(int number) {
        synchronized (unclaimed) {
            Optional<Descriptor> found =
                    unclaimed.stream().filter(one -> one.number() == number).findFirst();
            found.ifPresent(unclaimed::remove);
            return found;
        }
    }

    private void keep(List<Descriptor> taken) throws IOException {
        synchronized (unclaimed) {
            unclaimed.addAll(taken);
            fresh.addAll(taken);
            while (unclaimed.size() > UNCLAIMED_MAX) {
                Descriptor oldest = unclaimed.removeFirst();
                fresh.remove(oldest);
                oldest.close();
            }
        }
    }

    @Override
    protected void implCloseSelectableChannel() throws IOException {
        try {
            socket.shutdown();
        } catch (IOException e) {
            // The peer has closed it: whoever reads has seen that.
        }
        // Nobody may still be in a call when the descriptor's number becomes free for others.
        synchronized (reading) {
            synchronized (writing) {
                socket.close();
            }
        }
        synchronized (unclaimed) {
            for (Descriptor one : unclaimed) {
                one.close();
            }
            unclaimed.clear();
            fresh.clear();
        }
    }

    @Override
    protected void implConfigureBlocking(boolean block) {
        if (!block) {
            throw new UnsupportedOperationException("it blocks");
        }
    }

    @Override
    public boolean isConnected() {
        return isOpen();
    }

    @Override
    public boolean isConnectionPending() {
        return false;
    }

    @Override
    public boolean finishConnect() {
        return true;
    }

    @Override
    public boolean connect(SocketAddress remote) {
        throw unsupported();
    }

    @Override
    public SocketChannel bind(SocketAddress local) {
        throw unsupported();
    }

    @Override
    public <T> SocketChannel setOption(SocketOption<T> name, T value) {
        throw unsupported();
    }

    @Override
    public <T> T getOption(SocketOption<T> name) {
        throw unsupported();
    }

    @Override
    public Set<SocketOption<?>> supportedOptions() {
        return Set.of();
    }

    @Override
    public SocketChannel shutdownInput() {
        throw unsupported();
    }

    @Override
    public SocketChannel shutdownOutput() {
        throw unsupported();
    }

    @Override
    public Socket socket() {
        throw unsupported();
    }

    @Override
    public SocketAddress getRemoteAddress() {
        throw unsupported();
    }

    @Override
    public SocketAddress getLocalAddress() {
        throw unsupported();
    }

    @Override
    public long read(ByteBuffer[] into, int offset, int length) {
        throw unsupported();
    }

    @Override
    public long write(ByteBuffer[] from, int offset, int length) {
        throw unsupported();
    }

    private static UnsupportedOperationException unsupported() {
        return new UnsupportedOperationException("a connection to a bus reads and writes, and no more");
    }
}
