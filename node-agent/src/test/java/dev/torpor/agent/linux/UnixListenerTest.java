package dev.torpor.agent.linux;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class UnixListenerTest {
    private static final Duration SOON = Duration.ofSeconds(10);
    private static final int MIB = 1 << 20;

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @SuppressWarnings("NullAway.Init")
    private Directory directory;

    @BeforeEach
    void open() throws IOException {
        directory = Directory.open(temp);
    }

    @AfterEach
    void close() throws IOException {
        directory.close();
    }

    @Test
    void whoConnectsIsKnownAndHeard() throws IOException {
        try (UnixListener listener = UnixListener.listen(directory, "s", 4);
                UnixSocket client = UnixSocket.connect(temp.resolve("s"));
                UnixSocket accepted = listener.accept(SOON).orElseThrow()) {
            assertThat(accepted.peer().pid())
                    .isEqualTo((int) ProcessHandle.current().pid());
            client.send("hello".getBytes(UTF_8), List.of(), SOON);
            client.shutdown();
            ByteBuffer got = ByteBuffer.allocateDirect(16);
            assertThat(accepted.fill(got)).isEqualTo(5);
            assertThat(got.position()).isEqualTo(5);
            assertThat(accepted.fill(got)).isZero();
        }
        assertThat(temp.resolve("s")).doesNotExist();
    }

    @Test
    void moreThanASocketHoldsPassesWhole() throws Exception {
        try (UnixListener listener = UnixListener.listen(directory, "s", 4);
                UnixSocket client = UnixSocket.connect(temp.resolve("s"));
                UnixSocket accepted = listener.accept(SOON).orElseThrow()) {
            ByteBuffer sent = ByteBuffer.allocateDirect(3 * MIB);
            for (int at = 0; at < sent.capacity(); at++) {
                sent.put(at, (byte) (at * 31));
            }
            CompletableFuture<Void> sending = CompletableFuture.runAsync(() -> {
                try {
                    client.drain(sent);
                } catch (IOException e) {
                    throw new IllegalStateException(e);
                }
            });
            ByteBuffer got = ByteBuffer.allocateDirect(3 * MIB);
            assertThat(accepted.fill(got)).isEqualTo(3 * MIB);
            sending.get();
            assertThat(sent.hasRemaining()).isFalse();
            assertThat(got.flip()).isEqualTo(sent.flip());
        }
    }

    @Test
    void aShutdownWakesWhoeverWaits() throws Exception {
        try (UnixListener listener = UnixListener.listen(directory, "s", 4);
                UnixSocket client = UnixSocket.connect(temp.resolve("s"));
                UnixSocket accepted = listener.accept(SOON).orElseThrow()) {
            CompletableFuture<Integer> reading = CompletableFuture.supplyAsync(() -> {
                try {
                    return accepted.fill(ByteBuffer.allocateDirect(1));
                } catch (IOException e) {
                    throw new IllegalStateException(e);
                }
            });
            accepted.shutdown();
            assertThat(reading.get()).isZero();
            accepted.shutdown(); // once more is fine
            ByteBuffer more = ByteBuffer.allocateDirect(MIB);
            assertThatThrownBy(() -> client.drain(more)).isInstanceOf(IOException.class);
        }
    }

    @Test
    void nobodyComes() throws IOException {
        try (UnixListener listener = UnixListener.listen(directory, "s", 4)) {
            assertThat(listener.accept(Duration.ofMillis(1))).isEmpty();
        }
    }

    @Test
    void anotherUserMayConnect() throws IOException {
        try (UnixListener _ = UnixListener.listen(directory, "s", 4)) {
            assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(temp.resolve("s"))))
                    .isEqualTo("rw-rw-rw-");
        }
    }

    @Test
    void whatALinkPointsToIsLeftAlone() throws IOException {
        Path target = Files.createFile(temp.resolve("target"));
        Files.createSymbolicLink(temp.resolve("s"), target);
        try (UnixListener _ = UnixListener.listen(directory, "s", 4)) {
            assertThat(Files.isSymbolicLink(temp.resolve("s"))).isFalse();
            assertThat(target).isRegularFile().isEmptyFile();
        }
    }

    @Test
    void whatCannotBeRemovedIsAnError() throws IOException {
        Files.createDirectory(temp.resolve("s"));
        assertThatThrownBy(() -> UnixListener.listen(directory, "s", 4)).isInstanceOf(ErrnoException.class);
        assertThat(temp.resolve("s")).isDirectory();
    }

    @Test
    void theFolderMayHaveALongPath() throws IOException {
        char[] letters = new char[120];
        Arrays.fill(letters, 'x');
        Path folder = Files.createDirectory(temp.resolve(new String(letters)));
        try (Directory open = Directory.open(folder);
                UnixListener listener = UnixListener.listen(open, "s", 4);
                Descriptor file = open.openFile("s", Access.NAME_ONLY);
                UnixSocket _ = UnixSocket.connect(file)) {
            assertThat(listener.accept(SOON)).isPresent();
        }
    }
}
