package dev.torpor.agent.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.torpor.agent.image.ChannelLayout;
import dev.torpor.agent.image.ChannelReader;
import dev.torpor.agent.image.ChannelWriter;
import dev.torpor.agent.image.Compression;
import dev.torpor.agent.image.ImageFiles;
import dev.torpor.agent.image.ImageHeader;
import dev.torpor.agent.linux.Access;
import dev.torpor.agent.linux.AlignedBuffer;
import dev.torpor.agent.linux.AlignedMemory;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.linux.PeerCredentials;
import dev.torpor.agent.linux.UnixListener;
import dev.torpor.agent.linux.UnixSocket;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Peers that do, and that do not, what a loading QEMU does; whatever they do, threads, buffers and connections end. */
@Timeout(60)
class StreamPlayerTest {
    private static final Duration SOON = Duration.ofSeconds(20);
    private static final Duration NOW = Duration.ofMillis(50);
    private static final int MIB = 1 << 20;
    private static final int BACKLOG = 16;
    // The last says less than a connection holds, the others more: whoever reads nothing has them wait.
    private static final List<byte[]> STREAMS = List.of(random(2 * MIB + MIB / 2), random(3 * MIB + 1), random(64));

    private final CountDownLatch wrong = new CountDownLatch(1);

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @SuppressWarnings("NullAway.Init")
    private Directory directory;

    @SuppressWarnings("NullAway.Init")
    private ChannelLayout layout;

    @SuppressWarnings("NullAway.Init")
    private ImageFiles files;

    @SuppressWarnings("NullAway.Init")
    private UnixListener listener;

    @SuppressWarnings("NullAway.Init")
    private Descriptor image;

    /** Who listens: these tests. */
    @SuppressWarnings("NullAway.Init")
    private PeerCredentials self;

    private final List<UnixSocket> accepted = new ArrayList<>();

    @BeforeEach
    void record() throws IOException, TorporException {
        directory = Directory.open(temp);
        image = directory.createFile("image");
        ChannelWriter writer = new ChannelWriter(new ImageFiles(image, Optional.empty()), STREAMS.size());
        ByteBuffer unit = AlignedBuffer.allocate(MIB);
        for (int channel = 0; channel < STREAMS.size(); channel++) {
            byte[] stream = STREAMS.get(channel);
            for (int at = 0; at < stream.length; at += MIB) {
                unit.clear().put(stream, at, Math.min(MIB, stream.length - at));
                writer.add(channel, unit.flip());
            }
        }
        layout = writer.finish(Compression.NONE);
        files = new ImageFiles(directory.openFile("image", Access.READ), Optional.empty());
        listener = UnixListener.listen(directory, "s", BACKLOG);
        try (UnixSocket mine = UnixSocket.connect(temp.resolve("s"));
                UnixSocket _ = listener.accept(SOON).orElseThrow()) {
            self = mine.peer();
        }
    }

    @AfterEach
    void nothingIsLeft() throws IOException {
        for (UnixSocket socket : accepted) {
            socket.close();
        }
        listener.close();
        files.close();
        image.close();
        directory.close();
        assertThat(Thread.getAllStackTraces().keySet())
                .extracting(Thread::getName)
                .noneMatch(name -> name.startsWith("stream-"));
        // All that there is: what was taken was given back.
        try (AlignedMemory others = new AlignedMemory()) {
            assertThat(others.allocate(80 * MIB).capacity()).isEqualTo(80 * MIB);
        }
    }

    @Test
    void eachChannelIsSentWholeTheMainOneFirst() throws Exception {
        try (StreamPlayer player = player()) {
            player.start(directory, "s", self, SOON);
            for (byte[] stream : STREAMS) {
                assertThat(read(accept(), stream.length)).isEqualTo(ByteBuffer.wrap(stream));
            }
            player.check();
        }
        for (UnixSocket socket : accepted) {
            assertThat(socket.fill(ByteBuffer.allocateDirect(1)))
                    .as("behind its end")
                    .isZero();
        }
        assertThat(listener.accept(NOW)).as("one more").isEmpty();
    }

    @Test
    void whatWasSentIsCounted() throws Exception {
        try (StreamPlayer player = player()) {
            assertThat(player.totalBytes()).isEqualTo(layout.totalBytes());
            player.start(directory, "s", self, SOON);
            for (byte[] stream : STREAMS) {
                read(accept(), stream.length);
            }
            while (player.sentBytes() < player.totalBytes()) {
                Thread.onSpinWait();
            }
            assertThat(player.sentBytes()).isEqualTo(layout.totalBytes());
        }
    }

    @Test
    void onePeerThatHangsUpIsNoFailureOfOurs() throws Exception {
        try (StreamPlayer player = player()) {
            player.start(directory, "s", self, SOON);
            for (int channel = 0; channel < STREAMS.size(); channel++) {
                accept().close();
            }
            accepted.clear();
            player.check(); // QEMU says itself why it did
            assertThat(player.sentBytes()).isLessThan(player.totalBytes());
        }
    }

    @Test
    void aChannelThatIsHungUpOnDoesNotKeepTheOthersFromBeingSent() throws Exception {
        try (StreamPlayer player = player()) {
            player.start(directory, "s", self, SOON);
            accept().close();
            accepted.clear();
            assertThat(read(accept(), STREAMS.get(1).length)).isEqualTo(ByteBuffer.wrap(STREAMS.get(1)));
            player.check();
        }
    }

    @Test
    void aPeerThatTakesNothingIsLeftWhenAsked() throws Exception {
        try (StreamPlayer player = player()) {
            player.start(directory, "s", self, SOON);
            UnixSocket main = accept();
            accept();
            accept();
            read(main, 1); // under way
            player.check();
            assertThat(player.sentBytes()).isLessThan(player.totalBytes());
        }
    }

    @Test
    void aPeerThatAcceptsNobodyIsLeftWhenAsked() throws Exception {
        try (StreamPlayer player = player()) {
            player.start(directory, "s", self, SOON); // they wait in the listener's queue
            player.check();
        }
    }

    @Test
    void aPeerWithoutRoomForAllChannelsIsNotWaitedForForEver() throws Exception {
        listener.close();
        listener = UnixListener.listen(directory, "s", 0);
        try (StreamPlayer player = player()) {
            TorporException e = refused(player, self);
            assertThat(e).hasMessage("QEMU takes no connection for its channels");
            assertThat(e).hasCauseInstanceOf(SocketTimeoutException.class);
        }
    }

    @Test
    void whoeverListensIsAskedForAndGetsNothing() throws Exception {
        try (StreamPlayer player = player()) {
            assertThat(refused(player, new PeerCredentials(self.pid() + 1, self.uid())))
                    .hasMessage("another process than QEMU listens where QEMU was told to");
        }
        assertThat(accept().fill(ByteBuffer.allocateDirect(1))).isZero();
    }

    @Test
    void aFileInTheSocketsPlaceIsNotListenedOn() throws Exception {
        Files.delete(temp.resolve("s"));
        Files.writeString(temp.resolve("s"), "");
        try (StreamPlayer player = player()) {
            assertThat(refused(player, self)).hasMessage("QEMU does not listen where it was told to");
        }
    }

    @Test
    void aSocketThatIsNotThereIsNotConnectedTo() throws Exception {
        Files.delete(temp.resolve("s"));
        try (StreamPlayer player = player()) {
            assertThat(refused(player, self)).hasMessage("QEMU takes no connection for its channels");
        }
    }

    @Test
    void whatIsDamagedIsSentToNobodyAndAllAreHungUpOn() throws Exception {
        long secondUnitOfChannel1 = ImageHeader.STREAM_OFFSET_BYTES + (STREAMS.size() + 1L) * MIB;
        image.write(ByteBuffer.wrap(new byte[] {1, 2, 3, 4, 5}), secondUnitOfChannel1);
        try (StreamPlayer player = player()) {
            player.start(directory, "s", self, SOON);
            UnixSocket main = accept();
            // The unit before it is sound; once that is taken, the next is looked at.
            assertThat(rest(accept())).isLessThanOrEqualTo(MIB);
            assertThat(rest(main)).isLessThan(STREAMS.getFirst().length);
            TorporException e = catchThrowableOfType(TorporException.class, player::check);
            assertThat(e.reason()).isEqualTo(FailureReason.ImageDamaged);
            assertThat(e).hasMessageStartingWith("the image is damaged: the checksum of channel 1 at offset ");
            assertThat(wrong.await(SOON.toSeconds(), TimeUnit.SECONDS)).isTrue();
        }
    }

    @Test
    void shortOfMemoryNothingIsBegunAndItMayPass() throws Exception {
        try (AlignedMemory others = new AlignedMemory();
                StreamPlayer player = new StreamPlayer(ChannelReader.open(files, layout), () -> {})) {
            others.allocate(78 * MIB);
            TorporException e = catchThrowableOfType(TorporException.class, player::prepare);
            assertThat(e.reason().kind()).isEqualTo(FailureReason.Kind.RETRYABLE);
            assertThat(e)
                    .hasMessage(
                            "the agent has no memory for 3 channels now (other saves and resumes have the 80 MiB that"
                                    + " there are): the image is untouched, and its load is tried again when others have ended");
        }
        assertThat(listener.accept(NOW)).isEmpty();
    }

    private StreamPlayer player() throws IOException, TorporException {
        StreamPlayer player = new StreamPlayer(ChannelReader.open(files, layout), wrong::countDown);
        player.prepare();
        return player;
    }

    private TorporException refused(StreamPlayer player, PeerCredentials qemu) {
        TorporException e = catchThrowableOfType(TorporException.class, () -> player.start(directory, "s", qemu, NOW));
        assertThat(e.reason()).isEqualTo(FailureReason.LoadFailed);
        return e;
    }

    private UnixSocket accept() throws IOException {
        UnixSocket socket = listener.accept(SOON).orElseThrow();
        accepted.add(socket);
        return socket;
    }

    private static ByteBuffer read(UnixSocket socket, int bytes) throws IOException {
        ByteBuffer got = ByteBuffer.allocateDirect(bytes);
        assertThat(socket.fill(got)).isEqualTo(bytes);
        return got.flip();
    }

    /** Returns how many bytes come until it hangs up. */
    private static int rest(UnixSocket socket) throws IOException {
        return socket.fill(ByteBuffer.allocateDirect(8 * MIB));
    }

    private static byte[] random(int bytes) {
        byte[] data = new byte[bytes];
        new Random(bytes).nextBytes(data);
        return data;
    }
}
