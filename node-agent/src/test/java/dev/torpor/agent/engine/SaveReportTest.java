package dev.torpor.agent.engine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.image.ChannelLayout;
import dev.torpor.agent.image.Compression;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;

class SaveReportTest {
    @Test
    void whatWasWrittenIsPagesOrWhatTheirStreamsHave() {
        assertThat(new SaveReport(1000, 1L << 30, Duration.ZERO).writtenBytes()).isEqualTo(4_096_000);
        Compression zstd = new Compression(Compression.Method.ZSTD, OptionalInt.empty());
        ChannelLayout streams = new ChannelLayout(zstd, List.of(5000L, 100_000L, 64L), 0);
        assertThat(new SaveReport(1000, 1L << 30, Duration.ZERO, Optional.of(streams)).writtenBytes())
                .isEqualTo(105_064);
    }
}
