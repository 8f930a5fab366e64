package dev.torpor.agent.linux;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** On the real libc and the real file system. */
class DirectoryTest {
    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @Test
    void replacedFileHasTheNewContentAndIsPrivate() throws IOException {
        try (Directory directory = Directory.open(temp)) {
            directory.replaceFile("record", "one".getBytes(UTF_8));
            directory.replaceFile("record", "two".getBytes(UTF_8));
            assertThat(directory.readFile("record", 16)).asString(UTF_8).isEqualTo("two");
            assertThat(directory.list(10)).containsExactly("record");
            assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(temp.resolve("record"))))
                    .isEqualTo("rw-------");
        }
    }

    @Test
    void whatIsOpenedIsWhatWasLookedAt() throws IOException {
        Files.writeString(temp.resolve("ask"), "mine");
        try (Directory directory = Directory.open(temp);
                Descriptor named = directory.openFile("ask", Access.NAME_ONLY)) {
            Files.delete(temp.resolve("ask"));
            Files.createSymbolicLink(temp.resolve("ask"), Files.writeString(temp.resolve("other"), "other"));
            try (Descriptor file = Directory.reopen(named, Access.READ)) {
                ByteBuffer content = ByteBuffer.allocate(4);
                file.read(content, 0);
                assertThat(content.array()).asString(UTF_8).isEqualTo("mine");
            }
        }
    }

    /** To open a FIFO that was put in the place of a file in between would wait for ever. */
    @Test
    @Timeout(60)
    void aFileThatIsSwappedForAFifoWhileItIsReadKeepsNobodyWaiting() throws Exception {
        assertThat(new ProcessBuilder("mkfifo", temp.resolve("fifo").toString())
                        .start()
                        .waitFor())
                .isZero();
        Path file = Files.writeString(temp.resolve("file"), "content");
        Path name = temp.resolve("name");
        AtomicBoolean over = new AtomicBoolean();
        Thread swapper = Thread.ofPlatform().start(() -> {
            while (!over.get()) {
                for (Path next : List.of(file, temp.resolve("fifo"))) {
                    try {
                        Files.deleteIfExists(name);
                        Files.createLink(name, next);
                    } catch (IOException e) {
                        throw new UncheckedIOException(e);
                    }
                }
            }
        });
        int read = 0;
        try (Directory directory = Directory.open(temp)) {
            for (int i = 0; i < 20_000; i++) {
                try {
                    assertThat(directory.readFile("name", 16)).asString(UTF_8).isEqualTo("content");
                    read++;
                } catch (IOException e) {
                    assertThat(e).message().containsAnyOf("is not a regular file", "No such file");
                }
            }
        } finally {
            over.set(true);
            swapper.join();
        }
        assertThat(read).as("times that it was a file").isPositive();
    }

    @Test
    void whatIsPreparedHasNoEffectUntilItIsUsed() throws IOException {
        try (Directory directory = Directory.open(temp)) {
            directory.replaceFile("record", "one".getBytes(UTF_8));
            directory.prepareFile("record", "two".getBytes(UTF_8));
            assertThat(directory.readFile("record", 16)).asString(UTF_8).isEqualTo("one");
            directory.replaceWithPrepared("record");
            assertThat(directory.readFile("record", 16)).asString(UTF_8).isEqualTo("two");
            assertThatThrownBy(() -> directory.replaceWithPrepared("record"))
                    .isInstanceOfSatisfying(
                            ErrnoException.class, e -> assertThat(e.errno()).isEqualTo(ErrnoException.ENOENT));
            directory.prepareFile("record", "three".getBytes(UTF_8));
            assertThat(directory.forgetPrepared("record")).isTrue();
            assertThat(directory.list(10)).containsExactly("record");
        }
    }

    @Test
    void linksAreNotFollowed() throws IOException {
        Files.writeString(temp.resolve("target"), "secret");
        Files.createSymbolicLink(temp.resolve("file-link"), Path.of("target"));
        Files.createSymbolicLink(temp.resolve("dir-link"), Path.of("elsewhere"));
        try (Directory directory = Directory.open(temp)) {
            assertThat(catchErrno(
                            () -> directory.openFile("file-link", Access.READ).close()))
                    .isEqualTo(ErrnoException.ELOOP);
            // With O_DIRECTORY the kernel says of a link that it is no directory.
            assertThat(catchErrno(() -> directory.child("dir-link").close())).isEqualTo(ErrnoException.ENOTDIR);
            assertThatThrownBy(() -> directory.readFile("file-link", 16)).hasMessageEndingWith("is not a regular file");
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"", ".", "..", "a/b", "/etc/passwd", "a\0b"})
    void onlySingleNamesAreTaken(String name) throws IOException {
        try (Directory directory = Directory.open(temp)) {
            assertThatThrownBy(() -> directory.openFile(name, Access.READ).close())
                    .isInstanceOf(IllegalArgumentException.class);
        }
    }

    @Test
    void creationIsExclusive() throws IOException {
        try (Directory directory = Directory.open(temp)) {
            directory.createFile("image").close();
            assertThat(catchErrno(() -> directory.createFile("image").close())).isEqualTo(ErrnoException.EEXIST);
        }
    }

    @Test
    void aWriterElsewhereIsNoticed() throws IOException {
        try (Directory directory = Directory.open(temp)) {
            Descriptor writer = directory.createFile("image");
            try (Descriptor reader = directory.openFile("image", Access.READ)) {
                assertThat(reader.hasNoWriter()).isFalse();
                writer.close();
                assertThat(reader.hasNoWriter()).isTrue();
            }
        }
    }

    @Test
    void directReadsSeeWhatWasWritten() throws IOException {
        ByteBuffer page = AlignedBuffer.allocate(4096);
        page.put(17, (byte) 42);
        try (Directory directory = Directory.open(temp)) {
            directory.createFile("image").close();
            try (Descriptor out = directory.openFile("image", Access.WRITE_DIRECT)) {
                assertThat(out.flags().direct()).isTrue();
                assertThat(out.flags().writeOnly()).isTrue();
                out.write(page, 4096);
                out.flushData();
            }
            ByteBuffer back = AlignedBuffer.allocate(8192);
            try (Descriptor in = directory.openFile("image", Access.READ_DIRECT)) {
                assertThat(in.read(back, 0)).isEqualTo(8192);
                assertThat(in.facts().sizeBytes()).isEqualTo(8192);
            }
            assertThat(back.get(4096 + 17)).isEqualTo((byte) 42);
        }
    }

    @Test
    void aSecondLockIsRefused() throws IOException {
        try (Directory directory = Directory.open(temp);
                Descriptor first = directory.createFile("lock");
                Descriptor second = directory.openFile("lock", Access.READ)) {
            assertThat(first.tryLock()).isTrue();
            assertThat(second.tryLock()).isFalse();
        }
    }

    @Test
    void aFailureNamesCallFileAndError() throws IOException {
        try (Directory directory = Directory.open(temp)) {
            assertThatThrownBy(() -> directory.openFile("absent", Access.READ).close())
                    .hasMessage("open " + temp.toRealPath() + "/absent: No such file or directory");
        }
    }

    private interface Action {
        void run() throws IOException;
    }

    private static int catchErrno(Action action) throws IOException {
        try {
            action.run();
            return 0;
        } catch (ErrnoException e) {
            return e.errno();
        }
    }
}
