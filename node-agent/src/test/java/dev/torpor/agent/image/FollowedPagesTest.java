package dev.torpor.agent.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.torpor.agent.linux.Access;
import dev.torpor.agent.linux.AlignedBuffer;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.linux.ErrnoException;
import dev.torpor.agent.linux.PageCache;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FollowedPagesTest {
    private static final int MIB = 1 << 20;
    private static final RamBlock RAM = block("pc.ram");
    private static final PageReader.Source DISK = (_, _) -> 0;
    private static final RamBlock OTHER = block("vga.vram");

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @SuppressWarnings("NullAway.Init")
    private Directory directory;

    @SuppressWarnings("NullAway.Init")
    private PageCache cache;

    private final AtomicLong now = new AtomicLong();

    private static RamBlock block(String name) {
        return new RamBlock(name, 2 * MIB, 4096, new Extent(0, 0), new Extent(0, 2 * MIB));
    }

    @BeforeEach
    void write() throws IOException {
        directory = Directory.open(temp);
        directory.createFile("image").close();
        try (Descriptor file = directory.openFile("image", Access.WRITE_DIRECT)) {
            file.write(AlignedBuffer.allocate(MIB), 0);
            file.write(AlignedBuffer.allocate(MIB), MIB);
            file.flush();
        } catch (ErrnoException e) {
            assumeTrue(e.errno() != ErrnoException.EINVAL, "a file system without direct I/O");
            throw e;
        }
        cache = PageCache.of(directory, "image");
        assumeTrue(!cache.holds(0, MIB), "a file system that keeps everything in memory");
    }

    @AfterEach
    void close() throws IOException {
        cache.close();
        directory.close();
    }

    @Test
    void aChunkThatIsBeingReadIsWaitedFor() throws Exception {
        FollowedPages pages = new FollowedPages(cache, Set.of("pc.ram"), Duration.ofHours(1), now::get);
        CompletableFuture<PageReader.Source> found = CompletableFuture.supplyAsync(() -> {
            try {
                return pages.source(RAM, 0, MIB, DISK);
            } catch (IOException e) {
                throw new IllegalStateException(e);
            }
        });
        read(0);
        assertThat(found.join()).isNotSameAs(DISK);
    }

    @Test
    void whereNobodyReadsTheDiskIsReadUntilSomebodyDoes() throws Exception {
        FollowedPages pages = new FollowedPages(cache, Set.of("pc.ram"), Duration.ofSeconds(5), now::get);
        now.addAndGet(Duration.ofSeconds(6).toNanos());
        assertThat(pages.source(RAM, 0, MIB, DISK)).isSameAs(DISK);
        read(MIB);
        assertThat(pages.source(RAM, MIB, MIB, DISK)).isNotSameAs(DISK);
    }

    @Test
    void whatNobodyIsExpectedToReadIsNotWaitedFor() throws Exception {
        FollowedPages pages = new FollowedPages(cache, Set.of("pc.ram"), Duration.ofHours(1), now::get);
        assertThat(pages.source(OTHER, 0, MIB, DISK)).isSameAs(DISK);
    }

    private void read(long offset) throws IOException {
        try (Descriptor file = directory.openFile("image", Access.READ)) {
            file.read(ByteBuffer.allocate(MIB), offset);
        }
    }
}
