package dev.torpor.agent.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
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

    /** A page behind the end of a mapped file is SIGBUS for who touches it; nobody does. */
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
