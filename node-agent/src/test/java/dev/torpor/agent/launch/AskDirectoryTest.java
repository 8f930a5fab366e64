package dev.torpor.agent.launch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.torpor.agent.linux.Directory;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.Base64;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a hostile VM can put where the launcher's files should be. */
@Timeout(30)
class AskDirectoryTest {
    private static final Duration NO_PATIENCE = Duration.ofMillis(20);
    private static final Answer SAY = new Answer.Say("hello");

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @SuppressWarnings("NullAway.Init")
    private Path volume;

    @SuppressWarnings("NullAway.Init")
    private Directory directory;

    @SuppressWarnings("NullAway.Init")
    private AskDirectory asks;

    @BeforeEach
    void open() throws IOException {
        volume = Files.createDirectory(temp.resolve("volume"));
        directory = Directory.open(volume);
        asks = new AskDirectory(directory);
    }

    @AfterEach
    void close() throws IOException {
        directory.close();
    }

    @Test
    void findsOnlyWhatIsNamedLikeAnAsk() throws IOException {
        for (String name : List.of("ask.1", ".ask.2", "ask.", "ask.a b", "ask.x.y", "ask", "answer.1", "ask.ü")) {
            Files.createFile(volume.resolve(name));
        }
        assertThat(asks.asks()).containsExactly("1");
    }

    @Test
    void thousandsOfAsksAreBounded() throws IOException {
        for (int i = 0; i < 3000; i++) {
            Files.createFile(volume.resolve("ask." + i));
        }
        assertThat(asks.asks()).hasSizeLessThanOrEqualTo(8);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "version 2\nid x\nkind start\nargv YQA=\n",
                "version 1\nid y\nkind start\nargv YQA=\n",
                "version 1\nid x\nkind else\nargv YQA=\n",
                "version 1\nid x\nkind start\n",
                "version 1\nid x\nkind start\nargv %%%\n",
                "version 1\nid x\nkind start\nargv YQ==\n",
                "version 1\nid x\nkind start\nargv AGEA\n",
                "version 1\nid x\nkind start\nargv YQA=\nargv YgA=\n",
            })
    void refusesGarbage(String content) throws IOException {
        Files.writeString(volume.resolve("ask.x"), content);
        assertThatThrownBy(() -> asks.read("x")).isInstanceOf(MalformedAskException.class);
    }

    @Test
    void refusesMoreArgumentsThanAnybodyNeeds() throws IOException {
        String argv = Base64.getEncoder()
                .encodeToString("a\0".repeat(5000).getBytes(java.nio.charset.StandardCharsets.US_ASCII));
        Files.writeString(volume.resolve("ask.x"), "version 1\nid x\nkind start\nargv " + argv + "\n");
        assertThatThrownBy(() -> asks.read("x")).hasMessageContaining("4096 arguments");
    }

    @Test
    void refusesAHugeFileWithoutReadingIt() throws IOException {
        try (FileChannel file =
                FileChannel.open(volume.resolve("ask.x"), StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
            file.write(java.nio.ByteBuffer.wrap(new byte[] {1}), 1L << 40);
        }
        assertThatThrownBy(() -> asks.read("x"))
                .isInstanceOf(MalformedAskException.class)
                .hasMessageContaining("are accepted");
    }

    @Test
    void followsNoLinksAndReadsNoFifo() throws Exception {
        Path secret = Files.writeString(temp.resolve("secret"), "version 1\nid x\nkind start\nargv YQA=\n");
        Files.createSymbolicLink(volume.resolve("ask.x"), secret);
        mkfifo("ask.fifo");
        Files.createDirectory(volume.resolve("ask.d"));
        for (String id : List.of("x", "fifo", "d", "missing")) {
            assertThatThrownBy(() -> asks.read(id)).isInstanceOf(MalformedAskException.class);
        }
    }

    @Test
    void answersNothingButAFifoThatIsRead() throws Exception {
        Path victim = Files.writeString(temp.resolve("victim"), "unchanged");
        Files.createSymbolicLink(volume.resolve("answer.link"), victim);
        Files.writeString(volume.resolve("answer.file"), "unchanged");
        Files.createDirectory(volume.resolve("answer.d"));
        mkfifo("answer.unread");
        for (String id : List.of("link", "file", "d", "unread", "missing")) {
            Files.writeString(volume.resolve("ask." + id), "");
            assertThat(asks.answer(id, SAY, NO_PATIENCE)).isEqualTo(AskDirectory.Delivery.NOBODY_ASKS);
            assertThat(asks.isAwaited(id)).isFalse();
        }
        assertThat(victim).hasContent("unchanged");
        assertThat(volume.resolve("answer.file")).hasContent("unchanged");
        assertThat(asks.asks()).isEmpty();
    }

    @Test
    void doesNotWaitForALauncherThatDoesNotRead() throws Exception {
        mkfifo("answer.x");
        Files.writeString(volume.resolve("ask.x"), "");
        // Held open read-write as the launcher does, and never read.
        try (FileChannel _ =
                FileChannel.open(volume.resolve("answer.x"), StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            Answer big = new Answer.Start(List.of("x".repeat(200_000)));
            assertThat(asks.answer("x", big, NO_PATIENCE)).isEqualTo(AskDirectory.Delivery.FULL);
            assertThat(asks.asks()).containsExactly("x");
        }
    }

    @Test
    void anAskThatIsADirectoryIsLeftAlone() throws Exception {
        Files.createDirectory(volume.resolve("ask.d"));
        assertThat(asks.answer("d", SAY, NO_PATIENCE)).isEqualTo(AskDirectory.Delivery.NOBODY_ASKS);
    }

    private void mkfifo(String name) throws Exception {
        assertThat(new ProcessBuilder("mkfifo", volume.resolve(name).toString())
                        .start()
                        .waitFor())
                .isZero();
    }
}
