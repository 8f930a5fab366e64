package dev.torpor.agent.image;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.linux.Access;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.Directory;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ShadowStreamTest {
    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    private final SampleStream sample = new SampleStream();
    private final SampleStream.Content content = sample.compose();

    @BeforeEach
    void write() throws IOException {
        Files.createFile(temp.resolve("image"));
        content.writeTo(temp.resolve("image"));
    }

    private Result shadow(Set<String> mapped) throws IOException {
        try (Directory directory = Directory.open(temp);
                Descriptor image = directory.openFile("image", Access.READ);
                Descriptor shadow = directory.createFile("shadow")) {
            LayoutScan.Result whole = LayoutScan.scan(image::read, content.sizeBytes(), 2 << 20);
            ShadowStream.write(image, whole.layout(), mapped, shadow);
            long allocated = shadow.facts().allocatedBytes();
            return new Result(
                    whole, LayoutScan.scan(shadow::read, shadow.facts().sizeBytes(), 2 << 20), allocated);
        }
    }

    private record Result(LayoutScan.Result image, LayoutScan.Result shadow, long allocatedBytes) {}

    @Test
    void hasNothingOfAMappedBlockButItsHeader() throws IOException {
        Result result = shadow(Set.of("pc.ram"));
        ImageLayout of = result.shadow().layout();
        assertThat(result.shadow().stream()).isEqualTo(result.image().stream());
        assertThat(of.blocks()).isEqualTo(result.image().layout().blocks());
        assertThat(of.headersCrc32c()).isEqualTo(result.image().layout().headersCrc32c());
        assertThat(of.deviceStateCrc32c()).isEqualTo(result.image().layout().deviceStateCrc32c());
        assertThat(of.sizeBytes()).isEqualTo(content.sizeBytes());
        assertThat(of.presentPages()).as("pages of pc.bios alone").isEqualTo(1);
        assertThat(result.allocatedBytes()).isLessThan(1 << 20);
        assertThat(page("shadow", 0, 300)).containsOnly((byte) 0);
        assertThat(page("shadow", 1, 1)).containsOnly((byte) 2).isEqualTo(page("image", 1, 1));
    }

    @Test
    void canLeaveOutEveryBlock() throws IOException {
        assertThat(shadow(Set.of("pc.ram", "pc.bios")).shadow().layout().presentPages())
                .isZero();
    }

    @Test
    void isTheWholeStreamIfNothingIsMapped() throws IOException {
        Result result = shadow(Set.of());
        assertThat(result.shadow().layout()).isEqualTo(result.image().layout());
        assertThat(page("shadow", 0, 300)).isEqualTo(page("image", 0, 300));
    }

    private byte[] page(String file, int block, int page) throws IOException {
        try (Directory directory = Directory.open(temp);
                Descriptor open = directory.openFile(file, Access.READ)) {
            List<RamBlock> blocks = LayoutScan.scan(open::read, content.sizeBytes(), 2 << 20)
                    .layout()
                    .blocks();
            ByteBuffer bytes = ByteBuffer.allocate((int) SampleStream.PAGE);
            open.read(bytes, blocks.get(block).pages().offsetBytes() + page * SampleStream.PAGE);
            return bytes.array();
        }
    }
}
