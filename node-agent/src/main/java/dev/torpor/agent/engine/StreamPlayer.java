package dev.torpor.agent.engine;

import dev.torpor.agent.image.ChannelReader;
import dev.torpor.agent.linux.Access;
import dev.torpor.agent.linux.AlignedMemory;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.linux.PeerCredentials;
import dev.torpor.agent.linux.UnixSocket;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.atomic.LongAdder;

/**
 * The other end of a loading QEMU's channels: connects to it and sends what was recorded, each channel from a thread of its
 * own, as it reads them all at once and waits for whichever lags behind. The main one is connected first: QEMU before 8.0
 * takes the first for it. When something is wrong on our side it hangs up, and QEMU's load fails.
 */
final class StreamPlayer implements AutoCloseable {
    private final ChannelReader reader;
    private final Runnable whenWrong;
    private final AlignedMemory memory = new AlignedMemory();
    private final List<ByteBuffer> units = new ArrayList<>();
    private final List<UnixSocket> sockets = new CopyOnWriteArrayList<>();
    private final List<Thread> threads = new ArrayList<>();
    private final LongAdder sentBytes = new LongAdder();
    private final AtomicReference<Optional<TorporException>> failure = new AtomicReference<>(Optional.empty());
    private volatile boolean closing;

    /** @param whenWrong done, on any thread, when something went wrong on our side and QEMU has been hung up on */
    StreamPlayer(ChannelReader reader, Runnable whenWrong) {
        this.reader = reader;
        this.whenWrong = whenWrong;
    }

    /**
     * Takes the memory that it needs. To be done before QEMU is told to load: it has one try.
     *
     * @throws TorporException StoreFailed if there is none now
     */
    void prepare() throws TorporException {
        units.addAll(StreamRecorder.buffers(
                memory, reader.layout().lengthsBytes().size(), "the image is untouched, and its load"));
    }

    /**
     * Connects all channels and begins to send; prepared.
     *
     * @param name of the socket, in a folder that others can write to
     * @param patience how long QEMU may take for each connection
     * @throws TorporException LoadFailed if it is not that QEMU that listens there, or it takes no connection
     */
    void start(Directory folder, String name, PeerCredentials qemu, Duration patience) throws TorporException {
        try (Descriptor inode = folder.openFile(name, Access.NAME_ONLY)) {
            if (!inode.facts().isSocket()) {
                throw new TorporException(FailureReason.LoadFailed, "QEMU does not listen where it was told to");
            }
            for (int channel = 0; channel < reader.layout().lengthsBytes().size(); channel++) {
                UnixSocket socket = UnixSocket.connect(inode, patience);
                sockets.add(socket);
                if (!socket.peer().equals(qemu)) {
                    throw new TorporException(
                            FailureReason.LoadFailed, "another process than QEMU listens where QEMU was told to");
                }
                if (channel == 0) {
                    begin(0); // QEMU since 8.0 wants to see how a connection begins before it takes the next
                }
            }
        } catch (IOException e) {
            throw new TorporException(FailureReason.LoadFailed, "QEMU takes no connection for its channels", e);
        }
        for (int channel = 1; channel < sockets.size(); channel++) {
            begin(channel);
        }
        if (failure.get().isPresent()) {
            hangUp(); // on those too that were not there yet when it came
        }
    }

    private void begin(int channel) {
        UnixSocket socket = sockets.get(channel);
        ByteBuffer unit = units.get(channel);
        threads.add(Thread.ofPlatform().name("stream-" + channel).daemon().start(() -> play(channel, socket, unit)));
    }

    private void play(int channel, UnixSocket socket, ByteBuffer unit) {
        try {
            for (long number = 0; read(channel, number, unit); number++) {
                int length = unit.remaining();
                socket.drain(unit);
                sentBytes.add(length);
            }
        } catch (TorporException e) {
            failure.compareAndSet(Optional.empty(), Optional.of(e));
            hangUp();
            whenWrong.run();
        } catch (IOException e) {
            // QEMU has closed, which it says itself, or we have.
        }
    }

    private boolean read(int channel, long number, ByteBuffer unit) throws TorporException {
        try {
            return !closing && reader.read(channel, number, unit);
        } catch (IOException e) {
            throw new TorporException(FailureReason.StoreFailed, "the image cannot be read", e);
        }
    }

    /** Returns the bytes that QEMU was sent, and has taken nearly all of. */
    long sentBytes() {
        return sentBytes.sum();
    }

    long totalBytes() {
        return reader.layout().totalBytes();
    }

    /** Throws what went wrong on our side, if anything did. */
    void check() throws TorporException {
        Optional<TorporException> why = failure.get();
        if (why.isPresent()) {
            throw why.get();
        }
    }

    private void hangUp() {
        for (UnixSocket socket : sockets) {
            try {
                socket.shutdown();
            } catch (IOException e) {
                // it is closed at both ends, which is what is wanted
            }
        }
    }

    /** Hangs up on whoever is still connected, and gives the buffers back. */
    @Override
    public void close() throws IOException {
        closing = true;
        hangUp();
        boolean interrupted = Thread.interrupted();
        for (Thread thread : threads) {
            interrupted |= StreamRecorder.joinOrInterrupted(thread);
        }
        IOException failed = StreamRecorder.with(null, memory::close);
        for (UnixSocket socket : sockets) {
            failed = StreamRecorder.with(failed, socket::close);
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        if (failed != null) {
            throw failed;
        }
    }
}
