package dev.torpor.agent.engine;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.awaitility.Awaitility.await;

import dev.torpor.agent.image.ChannelLayout;
import dev.torpor.agent.image.Compression;
import dev.torpor.agent.image.ImageFiles;
import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.image.PartialImage;
import dev.torpor.agent.image.PartialIntent;
import dev.torpor.agent.linux.AlignedMemory;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.linux.PeerCredentials;
import dev.torpor.agent.linux.SimulatedDisk;
import dev.torpor.agent.linux.UnixListener;
import dev.torpor.agent.linux.UnixSocket;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Peers that are, and that are not, what a QEMU is. */
class StreamRecorderTest {
    private static final Duration SOON = Duration.ofSeconds(20);
    private static final Duration NOW = Duration.ofMillis(1);
    private static final String UUID = "11111111-2222-3333-4444-555555555555";
    private static final int CHANNELS = 2;
    private static final long BYTES_MAX = 8 << 20;
    private static final Executor THREADS = task -> Thread.ofPlatform().daemon().start(task);

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @SuppressWarnings("NullAway.Init")
    private ImageStore store;

    @SuppressWarnings("NullAway.Init")
    private ImageFiles files;

    @SuppressWarnings("NullAway.Init")
    private Directory directory;

    @SuppressWarnings("NullAway.Init")
    private UnixListener listener;

    @SuppressWarnings("NullAway.Init")
    private PeerCredentials self;

    private final Cancellation cancellation = new Cancellation();
    private final List<UnixSocket> sockets = new ArrayList<>();

    @BeforeEach
    void open() throws IOException, TorporException {
        store = ImageStore.open(temp.resolve("store"));
        files = partial(store).openForQemu(false);
        directory = Directory.open(temp);
        listener = UnixListener.listen(directory, "s", 16);
        self = connect().peer();
        listener.accept(SOON).orElseThrow().close();
    }

    @AfterEach
    void close() throws IOException, TorporException {
        for (UnixSocket socket : sockets) {
            socket.close();
        }
        listener.close();
        directory.close();
        files.close();
        store.close();
    }

    private static PartialImage partial(ImageStore store) throws TorporException {
        return store.create(
                new ImageId("vms", "vm", "5d6f1c7e-0000-4000-8000-000000000001"),
                new PartialIntent(ImageMode.SAVE, 0, true, Optional.empty(), Instant.EPOCH));
    }

    private StreamRecorder recorder(PeerCredentials qemu) throws TorporException {
        StreamRecorder recorder = new StreamRecorder(listener, qemu, UUID, files, CHANNELS, BYTES_MAX, cancellation);
        recorder.start();
        return recorder;
    }

    private UnixSocket connect() throws IOException {
        UnixSocket socket = UnixSocket.connect(temp.resolve("s"));
        sockets.add(socket);
        return socket;
    }

    private void says(byte[] bytes) throws IOException {
        UnixSocket socket = connect();
        socket.send(bytes, List.of(), SOON);
        socket.shutdown();
    }

    private static byte[] channel(int number, String uuid) {
        ByteBuffer head = ByteBuffer.allocate(64).putInt(0x11223344).putInt(1);
        head.put(HexFormat.of().parseHex(uuid.replace("-", ""))).put((byte) number);
        return head.array();
    }

    private static byte[] main() {
        return "QEVM and so on".getBytes(US_ASCII);
    }

    private void refused(String message) throws IOException, TorporException {
        try (StreamRecorder recorder = recorder(self)) {
            TorporException e =
                    catchThrowableOfType(TorporException.class, () -> recorder.finish(Compression.NONE, SOON));
            assertThat(e.reason()).isEqualTo(FailureReason.SaveFailed);
            assertThat(e).hasMessage(message);
            // Who is at the other end is to come to its end soon.
            assertThat(cancellation.hurried()).isTrue();
            assertThat(cancellation.requested()).isFalse();
        }
    }

    @Test
    void aPeerThatSendsWithoutEndDoesNotFillTheDisk() throws Exception {
        try (StreamRecorder recorder = recorder(self)) {
            UnixSocket main = connect();
            main.send(main(), List.of(), SOON);
            byte[] more = new byte[1 << 20];
            for (long sent = 0; sent <= 2 * BYTES_MAX; sent += more.length) {
                main.send(more, List.of(), SOON); // it is taken, and dropped
            }
            main.shutdown();
            says(channel(0, UUID));
            says(channel(1, UUID));
            TorporException e =
                    catchThrowableOfType(TorporException.class, () -> recorder.finish(Compression.NONE, SOON));
            assertThat(e.reason()).isEqualTo(FailureReason.SaveFailed);
            assertThat(e).hasMessageContaining("more than " + BYTES_MAX + " bytes");
            // Units of the channels stand side by side, so the file is longer than what was written of one.
            assertThat(store.allocatedBytes(new ImageId("vms", "vm", "5d6f1c7e-0000-4000-8000-000000000001")))
                    .isLessThanOrEqualTo(BYTES_MAX + (1 << 20));
        }
    }

    @Test
    void shortOfMemoryNothingIsBegunAndItMayPass() throws Exception {
        try (AlignedMemory others = new AlignedMemory();
                StreamRecorder recorder =
                        new StreamRecorder(listener, self, UUID, files, CHANNELS, BYTES_MAX, cancellation)) {
            others.allocate(78 << 20);
            TorporException e = catchThrowableOfType(TorporException.class, recorder::start);
            assertThat(e.reason().kind()).isEqualTo(FailureReason.Kind.RETRYABLE);
            assertThat(e)
                    .hasMessage(
                            "the agent has no memory for 3 channels now (other saves and resumes have the 80 MiB that"
                                    + " there are): the VM runs, and its save is tried again when others have ended");
        }
        try (StreamRecorder _ = recorder(self);
                AlignedMemory others = new AlignedMemory()) {
            // What was taken in vain was given back.
            assertThat(others.allocate(77 << 20).capacity()).isEqualTo(77 << 20);
        }
    }

    @Test
    void channelsComeInAnyOrder() throws Exception {
        says(channel(1, UUID));
        says(main());
        says(channel(0, UUID));
        try (StreamRecorder recorder = recorder(self)) {
            ChannelLayout layout = recorder.finish(Compression.NONE, SOON);
            assertThat(layout.lengthsBytes()).containsExactly((long) main().length, 64L, 64L);
        }
    }

    @Test
    void anotherProcessIsNoChannel() throws Exception {
        says(main());
        says(channel(0, UUID));
        says(channel(1, UUID));
        try (StreamRecorder recorder = recorder(new PeerCredentials(self.pid() + 1, self.uid()))) {
            assertThatThrownBy(() -> recorder.finish(Compression.NONE, Duration.ofSeconds(2)))
                    .hasMessage("QEMU says that it has saved, and never opened channel 0");
        }
    }

    @Test
    @Timeout(60)
    void howeverManyKnockWhoAreNotQemuItIsStillWaitedFor() throws Exception {
        try (StreamRecorder recorder = recorder(new PeerCredentials(self.pid() + 1, self.uid()))) {
            // More than the listener keeps: each is taken, or the next ones would wait.
            for (int i = 0; i < 100; i++) {
                assertThat(connect().fill(ByteBuffer.allocateDirect(1))).isZero();
            }
            recorder.check();
        }
    }

    @Test
    void ofAQemuThatHasFailedNoMoreChannelsAreWaitedFor() throws Exception {
        says(main());
        try (StreamRecorder recorder = recorder(self)) {
            assertThat(recorder.awaitEnd(NOW, true)).isFalse();
            assertThat(recorder.awaitEnd(SOON, false)).isTrue();
        }
    }

    @Test
    void aChannelThatNeverCameIsMissed() throws Exception {
        says(main());
        says(channel(1, UUID));
        try (StreamRecorder recorder = recorder(self)) {
            assertThatThrownBy(() -> recorder.finish(Compression.NONE, Duration.ofSeconds(2)))
                    .hasMessage("QEMU says that it has saved, and never opened channel 1");
        }
    }

    @Test
    void aChannelThatStaysOpenIsNoEnd() throws Exception {
        says(main());
        says(channel(1, UUID));
        connect().send(channel(0, UUID), List.of(), SOON);
        try (StreamRecorder recorder = recorder(self)) {
            assertThat(recorder.awaitEnd(NOW, true)).isFalse();
        }
        // Closed, it has hung up; whoever was not let in yet learns it from the listener.
        listener.close();
        assertThat(sockets.getLast().fill(ByteBuffer.allocateDirect(1))).isZero();
    }

    /** As when a disk that hangs comes back: QEMU has closed all, and is not to be blamed. */
    @Test
    @Timeout(60)
    void aDiskThatStallsAtTheEndIsWaitedForLongerThanQemuWouldBe() throws Exception {
        Duration patience = Duration.ofSeconds(1);
        CountDownLatch stalls = new CountDownLatch(1);
        CountDownLatch goesOn = new CountDownLatch(1);
        AtomicBoolean slow = new AtomicBoolean();
        Path folder = Files.createDirectory(temp.resolve("slow"));
        var _ = SimulatedDisk.mount(folder, 50, () -> {
            if (slow.get()) {
                stalls.countDown();
                awaitQuietly(goesOn);
            }
            return Optional.empty();
        });
        try (ImageStore slowStore = ImageStore.open(folder);
                ImageFiles file = partial(slowStore).openForQemu(false)) {
            slow.set(true);
            try (StreamRecorder recorder =
                    new StreamRecorder(listener, self, UUID, file, CHANNELS, BYTES_MAX, cancellation)) {
                recorder.start();
                says(main());
                says(channel(0, UUID));
                says(channel(1, UUID));
                stalls.await();
                CompletableFuture<ChannelLayout> layout =
                        CompletableFuture.supplyAsync(() -> finished(recorder, patience), THREADS);
                await().during(patience.multipliedBy(2)).atMost(SOON).until(() -> !layout.isDone());
                goesOn.countDown();
                assertThat(layout.get(SOON.toSeconds(), TimeUnit.SECONDS).lengthsBytes())
                        .containsExactly((long) main().length, 64L, 64L);
            }
        } finally {
            goesOn.countDown();
            SimulatedDisk.unmountAll();
        }
    }

    private static ChannelLayout finished(StreamRecorder recorder, Duration patience) {
        try {
            return recorder.finish(Compression.NONE, patience);
        } catch (TorporException e) {
            throw new IllegalStateException(e);
        }
    }

    private static void awaitQuietly(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    @Test
    void twoOfOneNumber() throws Exception {
        says(main());
        says(channel(1, UUID));
        says(channel(1, UUID));
        refused("QEMU opened channel 2 twice, or one too many");
    }

    @Test
    void oneOfTooHighANumber() throws Exception {
        says(main());
        says(channel(0, UUID));
        says(channel(2, UUID));
        refused("QEMU opened channel 3 twice, or one too many");
    }

    @Test
    void oneOfAnotherVm() throws Exception {
        says(main());
        says(channel(0, UUID));
        says(channel(1, "99999999-2222-3333-4444-555555555555"));
        refused("QEMU opened a channel that says that it is of another VM, with the UUID"
                + " 99999999222233334444555555555555");
    }

    @Test
    void oneOfAnotherVersion() throws Exception {
        says(main());
        says(channel(0, UUID));
        byte[] head = channel(1, UUID);
        head[7] = 2;
        says(head);
        refused("QEMU opened a channel that begins in version 2, and 1 is known");
    }

    @Test
    void oneThatEndsTooSoon() throws Exception {
        says(main());
        says(channel(0, UUID));
        says(Arrays.copyOf(channel(1, UUID), 30));
        refused("QEMU opened a channel that ends after 30 bytes, before it has said which it is");
    }

    @Test
    void whatFailsKeepsNothingElseFromEnding() {
        List<String> ended = new ArrayList<>();
        IOException first = StreamRecorder.with(null, () -> {
            throw new IOException("first");
        });
        first = StreamRecorder.with(first, () -> ended.add("one"));
        first = StreamRecorder.with(first, () -> {
            throw new IllegalStateException("second");
        });
        first = StreamRecorder.with(first, () -> ended.add("other"));
        assertThat(ended).containsExactly("one", "other");
        assertThat(first).hasMessage("first");
        assertThat(requireNonNull(first).getSuppressed()).hasSize(1);
    }

    @Test
    void oneThatBeginsOtherwise() throws Exception {
        says(main());
        says(channel(0, UUID));
        says("GET / HTTP/1.1".getBytes(US_ASCII));
        refused("QEMU opened a channel that begins as none should, with 0x47455420");
    }

    @Test
    void whatComesAfterACancelIsTakenAndDropped() throws Exception {
        cancellation.request(FailureReason.Cancelled, "no longer wanted");
        says(channel(0, UUID));
        says(channel(1, UUID));
        says(main());
        try (StreamRecorder recorder = recorder(self)) {
            assertThat(recorder.awaitEnd(SOON, true)).isTrue();
        }
        assertThat(files.buffered().facts().sizeBytes()).isZero();
    }
}
