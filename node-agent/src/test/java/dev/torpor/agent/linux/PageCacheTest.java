package dev.torpor.agent.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.Arrays;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PageCacheTest {
    private static final int MIB = 1 << 20;

    @Test
    void tellsWhatWasReadAndReadsNothingItself(@TempDir Path temp) throws Exception {
        try (Directory directory = Directory.open(temp)) {
            writePastThePageCache(directory);
            try (Descriptor file = directory.openFile("file", Access.READ);
                    PageCache cache = PageCache.of(file)) {
                assumeTrue(!cache.holds(0, MIB), "a file system that keeps everything in memory");
                assertThat(cache.holds(0, 4 * MIB)).isFalse();
                for (int offset = MIB; offset < 2 * MIB; offset += 4096) {
                    file.read(ByteBuffer.allocate(4096), offset);
                }
                assertThat(cache.holds(MIB, MIB)).isTrue();
                assertThat(cache.holds(MIB, 4096)).isTrue();
                assertThat(cache.holds(0, 2 * MIB)).as("half of it").isFalse();
                assertThat(cache.holds(3 * MIB, 2 * MIB)).as("behind the end").isFalse();
            }
        }
    }

    @Test
    void whatIsReadHasTheKernelReadNothingAhead(@TempDir Path temp) throws Exception {
        try (Directory directory = Directory.open(temp)) {
            writePastThePageCache(directory);
            try (Descriptor file = directory.openFile("file", Access.READ);
                    PageCache cache = PageCache.of(file)) {
                assumeTrue(!cache.holds(0, MIB), "a file system that keeps everything in memory");
                file.read(ByteBuffer.allocate(4096), 0);
                int held = awaitStillness(cache);
                ByteBuffer read = AlignedBuffer.allocate(4 * MIB);
                assertThat(cache.read(read.limit(held), 0)).isEqualTo(held);
                assertThat(awaitStillness(cache)).isEqualTo(held);
                // The same by read(2).
                assertThat(file.read(read.rewind(), 0)).isEqualTo(held);
                assertThat(awaitStillness(cache)).isGreaterThan(held);
            }
        }
    }

    /** Returns how many bytes of the file are held, from its beginning, once that stays the same for a while. */
    private static int awaitStillness(PageCache cache) {
        AtomicInteger held = new AtomicInteger();
        await().during(Duration.ofMillis(300)).until(() -> {
            int now = 0;
            while (cache.holds(now, 4096)) {
                now += 4096;
            }
            return held.getAndSet(now) == now;
        });
        return held.get();
    }

    @Test
    void readsWhatTheFileHolds(@TempDir Path temp) throws Exception {
        Path path = temp.resolve("file");
        byte[] bytes = new byte[3 * 4096 + 5];
        new Random(1).nextBytes(bytes);
        Files.write(path, bytes);
        try (Directory directory = Directory.open(temp);
                PageCache cache = PageCache.of(directory, "file")) {
            ByteBuffer read = ByteBuffer.allocate(3 * 4096);
            assertThat(cache.read(read, 4096)).isEqualTo(2 * 4096 + 5);
            assertThat(read.remaining()).isEqualTo(4096 - 5);
            assertThat(Arrays.copyOf(read.array(), 2 * 4096 + 5))
                    .isEqualTo(Arrays.copyOfRange(bytes, 4096, bytes.length));
            assertThat(cache.read(read, 4 * 4096)).isZero();
            Files.write(path, new byte[] {42});
            assertThat(cache.read(read.clear().limit(1), 0)).as("as it is now").isOne();
            assertThat(read.get(0)).isEqualTo((byte) 42);
        }
    }

    /** A page behind the end of a mapped file is SIGBUS for who touches it. */
    @Test
    void aFileThatIsCutOffWhileItIsLookedAtIsNotThere(@TempDir Path temp) throws Exception {
        try (Directory directory = Directory.open(temp)) {
            writePastThePageCache(directory);
            try (Descriptor file = directory.openFile("file", Access.READ);
                    PageCache cache = PageCache.of(file);
                    FileChannel cut = FileChannel.open(temp.resolve("file"), StandardOpenOption.WRITE)) {
                for (int offset = 0; offset < 4 * MIB; offset += 4096) {
                    file.read(ByteBuffer.allocate(4096), offset);
                }
                assertThat(cache.holds(0, 4 * MIB)).isTrue();
                cut.truncate(0);
                assertThat(cache.holds(0, 4096)).isFalse();
                assertThat(cache.holds(0, 4 * MIB)).isFalse();
                assertThatThrownBy(() -> cache.read(ByteBuffer.allocate(4096), 0))
                        .isInstanceOfSatisfying(
                                ErrnoException.class, e -> assertThat(e.errno()).isEqualTo(5));
                assertThat(file.read(ByteBuffer.allocate(4096), 0)).isNotPositive();
            }
        }
    }

    @Test
    void refusesWhatIsNoRangeOfPages(@TempDir Path temp) throws Exception {
        try (Directory directory = Directory.open(temp)) {
            writePastThePageCache(directory);
            Descriptor file = directory.openFile("file", Access.READ);
            PageCache cache = PageCache.of(file);
            file.close(); // the mapping stays
            assertThatThrownBy(() -> cache.holds(1, 4096)).isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> cache.holds(0, 0)).isInstanceOf(IllegalArgumentException.class);
            cache.close();
            cache.close();
            assertThatThrownBy(() -> cache.holds(0, 4096)).isInstanceOf(IllegalStateException.class);
        }
    }

    private static void writePastThePageCache(Directory directory) throws IOException {
        directory.createFile("file").close();
        try (Descriptor file = directory.openFile("file", Access.WRITE_DIRECT)) {
            ByteBuffer bytes = AlignedBuffer.allocate(MIB);
            for (int i = 0; i < 4; i++) {
                file.write(bytes.clear(), (long) i * MIB);
            }
            file.flush();
        } catch (ErrnoException e) {
            assumeTrue(e.errno() != ErrnoException.EINVAL, "a file system without direct I/O");
            throw e;
        }
    }
}
