package dev.torpor.agent.engine;

import dev.torpor.agent.image.ChannelLayout;
import dev.torpor.agent.image.ChannelWriter;
import dev.torpor.agent.image.Compression;
import dev.torpor.agent.image.ImageFiles;
import dev.torpor.agent.image.StoreTrouble;
import dev.torpor.agent.linux.AlignedMemory;
import dev.torpor.agent.linux.PeerCredentials;
import dev.torpor.agent.linux.UnixListener;
import dev.torpor.agent.linux.UnixSocket;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * The other end of a saving QEMU's channels: takes their connections and writes what comes into the image's file, each
 * channel on a thread of its own. Which channel a connection is it says itself, whatever the order in which they come: the
 * main one begins with {@code QEVM}, every other with a packet of 64 bytes (MultiFDInit_t of migration/multifd.c, since QEMU
 * 4.0):
 *
 * <pre>
 *  offset  bytes
 *       0      4  0x11223344
 *       4      4  version, 1
 *       8     16  UUID of the VM
 *      24      1  number of the channel, from 0
 * </pre>
 *
 * <p>Once something is wrong, it goes on taking what QEMU sends and drops it: the save ends as if all were well, and the
 * guest can go on. To hang up would make QEMU fail in the middle, which is left to our own sudden end.
 */
final class StreamRecorder implements AutoCloseable {
    private static final int MAIN = 0x5145_564D; // QEVM
    private static final int CHANNEL = 0x1122_3344;
    private static final int CHANNEL_VERSION = 1;
    private static final int VERSION_OFFSET = 4;
    private static final int UUID_OFFSET = 8;
    private static final int UUID_BYTES = 16;
    private static final int NUMBER_OFFSET = 24;
    private static final int CHANNEL_HEAD_BYTES = 64;

    private static final Duration ACCEPT_LOOK = Duration.ofMillis(50);
    // Of the same pod: whoever knocks more often than that wants to keep us busy, and is let in more slowly.
    private static final int STRANGERS_MAX = 64;

    private static final Duration ACCEPT_PAUSE = Duration.ofMillis(10);
    private static final long LOOK_NANOS_MIN = TimeUnit.MILLISECONDS.toNanos(1);
    private static final long LOOK_NANOS_MAX = TimeUnit.MILLISECONDS.toNanos(50);

    private final UnixListener listener;
    private final PeerCredentials qemu;
    private final String uuid;
    private final ChannelWriter writer;
    private final Cancellation cancellation;
    private final long bytesMax;
    private final AtomicLong taken = new AtomicLong();
    /** How many threads wait for the file, and not for QEMU. */
    private final AtomicInteger atFile = new AtomicInteger();

    private final boolean[] seen;
    private final AlignedMemory memory = new AlignedMemory();
    /**
     * One for each channel, had before QEMU is told to save: refused later, nobody would take its streams. Had are their
     * addresses and their part of {@link AlignedMemory}'s ceiling; the kernel finds a page when it is first written to.
     */
    private final List<ByteBuffer> units = new ArrayList<>();

    private final List<UnixSocket> sockets = new ArrayList<>();
    private final List<Thread> threads = new ArrayList<>();
    private final AtomicReference<Optional<TorporException>> failure = new AtomicReference<>(Optional.empty());
    private final Thread acceptor = Thread.ofPlatform().name("streams").daemon().unstarted(this::acceptAll);
    private volatile boolean closing;

    /**
     * Prepares.
     *
     * @param channels how many beside the main one
     * @param uuid of the VM
     * @param bytesMax most that all channels together may send
     * @param cancellation once requested, nothing is written any more; hurried if something is wrong
     */
    StreamRecorder(
            UnixListener listener,
            PeerCredentials qemu,
            String uuid,
            ImageFiles files,
            int channels,
            long bytesMax,
            Cancellation cancellation) {
        this.listener = listener;
        this.qemu = qemu;
        this.uuid = uuid.replace("-", "");
        this.writer = new ChannelWriter(files, channels + 1);
        this.bytesMax = bytesMax;
        this.cancellation = cancellation;
        this.seen = new boolean[channels + 1];
    }

    /**
     * Begins to take connections.
     *
     * @throws TorporException StoreFailed if there is no memory for them now
     */
    void start() throws TorporException {
        units.addAll(buffers(memory, seen.length, "the VM runs, and its save"));
        acceptor.start();
    }

    /**
     * Returns a buffer for each channel, or none.
     *
     * @param what what is tried again, as the subject of a sentence
     * @throws TorporException StoreFailed, which may pass: nothing is wrong with the VM or its image
     */
    static List<ByteBuffer> buffers(AlignedMemory memory, int count, String what) throws TorporException {
        List<ByteBuffer> buffers = new ArrayList<>(count);
        try {
            for (int n = 0; n < count; n++) {
                buffers.add(memory.allocate(ChannelLayout.UNIT_BYTES));
            }
        } catch (IOException e) {
            throw new TorporException(
                    FailureReason.StoreFailed,
                    "the agent has no memory for " + count + " channels now (" + e.getMessage() + "): " + what
                            + " is tried again when others have ended",
                    e);
        }
        return buffers;
    }

    // Until QEMU has all its channels, whatever goes wrong: nobody else would take its streams, and it would wait with
    // its guest paused.
    private void acceptAll() {
        int strangers = 0;
        int accepted = 0;
        while (!closing && accepted < seen.length) {
            try {
                Optional<UnixSocket> next = listener.accept(ACCEPT_LOOK);
                if (next.isEmpty()) {
                    continue;
                }
                if (isOfQemu(next.get())) {
                    accepted++;
                    take(next.get());
                } else if (++strangers > STRANGERS_MAX) {
                    LockSupport.parkNanos(ACCEPT_PAUSE.toNanos());
                }
            } catch (IOException e) {
                failed(e, "the channels of QEMU cannot be taken");
                LockSupport.parkNanos(ACCEPT_PAUSE.toNanos());
            }
        }
    }

    private boolean isOfQemu(UnixSocket socket) throws IOException {
        boolean its = false;
        try {
            its = socket.peer().equals(qemu);
            return its;
        } finally {
            if (!its) {
                socket.close();
            }
        }
    }

    private synchronized void take(UnixSocket socket) throws IOException {
        if (closing) {
            socket.close();
            return;
        }
        ByteBuffer unit = units.get(sockets.size());
        sockets.add(socket);
        threads.add(
                Thread.ofPlatform().name("stream-" + sockets.size()).daemon().start(() -> record(socket, unit)));
    }

    private void record(UnixSocket socket, ByteBuffer unit) {
        int channel = -1;
        try {
            while (fill(socket, unit) > 0) {
                unit.flip();
                if (drops()) {
                    continue;
                }
                if (channel < 0) {
                    channel = identify(unit);
                }
                requireBounded(unit.limit());
                write(channel, unit);
            }
        } catch (TorporException e) {
            failed(e);
            drop(socket, unit);
        } catch (IOException e) {
            failed(e, "the image cannot be written");
            drop(socket, unit);
        }
    }

    private void write(int channel, ByteBuffer unit) throws IOException {
        atFile.incrementAndGet();
        try {
            writer.add(channel, unit);
        } finally {
            atFile.decrementAndGet();
        }
    }

    /** The room was looked at once, for what QEMU said of its memory: a hostile one would send until the disk is full. */
    private void requireBounded(int bytes) throws TorporException {
        if (taken.addAndGet(bytes) > bytesMax) {
            throw new TorporException(
                    FailureReason.SaveFailed,
                    "QEMU sends more than " + bytesMax + " bytes, which is more than its memory can make");
        }
    }

    // Of the store it would say something else.
    private static int fill(UnixSocket socket, ByteBuffer unit) throws TorporException {
        try {
            return socket.fill(unit.clear());
        } catch (IOException e) {
            throw new TorporException(
                    FailureReason.SaveFailed, "QEMU's channel cannot be read any more: " + e.getMessage(), e);
        }
    }

    private boolean drops() {
        return cancellation.requested() || failure.get().isPresent();
    }

    private static void drop(UnixSocket socket, ByteBuffer unit) {
        try {
            while (socket.fill(unit.clear()) > 0) {
                // until QEMU has sent all it has
            }
        } catch (IOException e) {
            // QEMU's own end of it will tell
        }
    }

    private int identify(ByteBuffer head) throws TorporException {
        int magic = head.limit() < Integer.BYTES ? 0 : head.getInt(0);
        int channel;
        if (magic == MAIN) {
            channel = 0;
        } else if (magic != CHANNEL) {
            throw wrong("begins as none should, with 0x" + Integer.toHexString(magic));
        } else if (head.limit() < CHANNEL_HEAD_BYTES) {
            throw wrong("ends after " + head.limit() + " bytes, before it has said which it is");
        } else if (head.getInt(VERSION_OFFSET) != CHANNEL_VERSION) {
            throw wrong("begins in version " + Integer.toUnsignedString(head.getInt(VERSION_OFFSET)) + ", and "
                    + CHANNEL_VERSION + " is known");
        } else if (!uuid(head).equals(uuid)) {
            throw wrong("says that it is of another VM, with the UUID " + uuid(head));
        } else {
            channel = 1 + (head.get(NUMBER_OFFSET) & 0xFF);
        }
        synchronized (this) {
            if (channel >= seen.length || seen[channel]) {
                throw new TorporException(
                        FailureReason.SaveFailed, "QEMU opened channel " + channel + " twice, or one too many");
            }
            seen[channel] = true;
        }
        return channel;
    }

    private static TorporException wrong(String how) {
        return new TorporException(FailureReason.SaveFailed, "QEMU opened a channel that " + how);
    }

    private static String uuid(ByteBuffer head) {
        byte[] bytes = new byte[UUID_BYTES];
        head.get(UUID_OFFSET, bytes);
        return HexFormat.of().formatHex(bytes);
    }

    private void failed(IOException e, String what) {
        failed(StoreTrouble.of(what, e));
    }

    private void failed(TorporException e) {
        failure.compareAndSet(Optional.empty(), Optional.of(e));
        cancellation.hurry();
    }

    /** Throws what went wrong, if anything did. */
    void check() throws TorporException {
        Optional<TorporException> why = failure.get();
        if (why.isPresent()) {
            throw why.get();
        }
    }

    /**
     * Waits until QEMU, which says that it is done, has closed all channels, and ends the file.
     *
     * @throws TorporException NotEnoughSpace, StoreFailed, SaveFailed
     */
    ChannelLayout finish(Compression compression, Duration patience) throws TorporException {
        boolean ended = awaitEnd(patience, true);
        check();
        synchronized (this) {
            for (int channel = 0; channel < seen.length; channel++) {
                if (!seen[channel]) {
                    throw new TorporException(
                            FailureReason.SaveFailed,
                            "QEMU says that it has saved, and never opened channel " + channel);
                }
            }
        }
        if (!ended) {
            throw new TorporException(
                    FailureReason.SaveFailed, "QEMU says that it has saved, and keeps its channels open");
        }
        try {
            return writer.finish(compression);
        } catch (IOException e) {
            failed(e, "the image cannot be written");
            check();
            throw new IllegalStateException(e);
        }
    }

    /**
     * Waits until QEMU has closed its channels, and what it sent is written.
     *
     * @param patience with QEMU: the disk may take as long as it takes, as in the middle of a save
     * @param all those that it has not opened yet are waited for, too; a QEMU that has failed opens no more
     * @return whether it has, within that time
     */
    boolean awaitEnd(Duration patience, boolean all) throws TorporException {
        Wait wait = new Wait(patience);
        if (all && !wait.ended(acceptor)) { // the only one to begin others
            return false;
        }
        for (Thread thread : threads()) {
            if (!wait.ended(thread)) {
                return false;
            }
        }
        return true;
    }

    /** A wait for threads, of which only the time counts in which none of them waits for the disk. */
    private final class Wait {
        private final long patienceNanos;
        private long untilNanos;

        Wait(Duration patience) {
            patienceNanos = patience.toNanos();
            untilNanos = System.nanoTime() + patienceNanos;
        }

        boolean ended(Thread thread) throws TorporException {
            while (!joined(thread, Math.clamp(untilNanos - System.nanoTime(), LOOK_NANOS_MIN, LOOK_NANOS_MAX))) {
                if (atFile.get() > 0) {
                    untilNanos = System.nanoTime() + patienceNanos;
                } else if (System.nanoTime() > untilNanos) {
                    return false;
                }
            }
            return true;
        }
    }

    private static boolean joined(Thread thread, long nanos) throws TorporException {
        try {
            return thread.join(Duration.ofNanos(nanos));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new TorporException(FailureReason.AgentRestarted, "the agent was asked to stop during the save", e);
        }
    }

    private synchronized List<Thread> threads() {
        return List.copyOf(threads);
    }

    /** Hangs up on whoever is still connected, and gives the buffers back. */
    @Override
    public void close() throws IOException {
        List<UnixSocket> all;
        synchronized (this) {
            closing = true;
            all = List.copyOf(sockets);
        }
        IOException failed = null;
        for (UnixSocket socket : all) {
            failed = with(failed, socket::shutdown);
        }
        boolean interrupted = Thread.interrupted();
        interrupted |= joinOrInterrupted(acceptor);
        for (Thread thread : threads()) {
            interrupted |= joinOrInterrupted(thread);
        }
        failed = with(failed, memory::close);
        for (UnixSocket socket : all) {
            failed = with(failed, socket::close);
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        if (failed != null) {
            throw failed;
        }
    }

    /** One of several things that are all done, whatever becomes of the others. */
    interface Ending {
        void end() throws IOException;
    }

    /** Ends something; returns the first failure of all so far, with the others. */
    static @Nullable IOException with(@Nullable IOException before, Ending ending) {
        try {
            ending.end();
            return before;
        } catch (IOException | RuntimeException e) {
            IOException now = e instanceof IOException io ? io : new IOException("a channel cannot be closed", e);
            if (before == null) {
                return now;
            }
            before.addSuppressed(now);
            return before;
        }
    }

    // It ends: no socket gives or takes anything any more, and the disk answers.
    static boolean joinOrInterrupted(Thread thread) {
        boolean interrupted = false;
        while (true) {
            try {
                thread.join();
                return interrupted;
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
    }
}
