package dev.torpor.agent.image;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.torpor.agent.image.SampleStream.Content;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

class LayoutScanTest {
    private final SampleStream sample = new SampleStream();

    private ImageLayout scan() throws IOException {
        Content content = sample.compose();
        return LayoutScan.scan(content, content.sizeBytes(), 2 << 20).layout();
    }

    @Test
    void pagesAreCountedOverAllBitmaps() throws IOException {
        assertThat(scan().presentPages()).isEqualTo(4);
    }

    @Test
    void eachPartHasItsOwnChecksum() throws IOException {
        ImageLayout before = scan();
        sample.blocks = List.of(new SampleStream.Block("pc.ram", 2 << 20, List.of(0, 1, 301)), sample.blocks.getLast());
        sample.deviceState = SampleStream.deviceState("{\"devices\":[1]}");
        ImageLayout after = scan();
        assertThat(after.headersCrc32c()).isEqualTo(before.headersCrc32c());
        assertThat(after.bitmapsCrc32c()).isNotEqualTo(before.bitmapsCrc32c());
        assertThat(after.deviceStateCrc32c()).isNotEqualTo(before.deviceStateCrc32c());
    }

    @Test
    void deviceStateMayHaveNoDescription() throws IOException {
        sample.deviceState = SampleStream.deviceState("");
        assertThat(scan().presentPages()).isEqualTo(4);
    }

    @Test
    void deviceStateThatEndsEarlyOrLateIsRefused() {
        byte[] whole = sample.deviceState;
        for (int length : new int[] {whole.length - 1, whole.length - 10, 20}) {
            sample.deviceState = Arrays.copyOf(whole, length);
            assertThatThrownBy(this::scan).hasMessageStartingWith("the device state does not end where the file ends");
        }
        sample.deviceState = Arrays.copyOf(whole, whole.length + 4096);
        sample.deviceState[whole.length + 4095] = 'x';
        assertThatThrownBy(this::scan).hasMessageStartingWith("the device state does not end where the file ends");
    }

    @Test
    void ramMustEndWhereTheHeadersSay() {
        sample.deviceState = "no flags".getBytes(UTF_8);
        assertThatThrownBy(this::scan).hasMessageStartingWith("the RAM section does not end at offset");
        sample.deviceState = new byte[0];
        assertThatThrownBy(this::scan)
                .hasMessageStartingWith("the stream ends in the middle of the end of the RAM section");
    }

    @Test
    void moreBitsThanPagesAreRefused() {
        sample.blocks = List.of(new SampleStream.Block("pc.bios", 8192, List.of(0, 1, 2)));
        assertThatThrownBy(this::scan).hasMessage("RAM block 'pc.bios' has 3 pages of 2");
    }
}
