package dev.torpor.agent.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.time.Instant;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class RecordJsonTest {
    private static final ProcessIdentity PROCESS = new ProcessIdentity("pod", "container", "boot", 42, 4711);
    private static final ImageRecord RECORD = new ImageRecord(
            SampleStream.ID,
            new PartialIntent(
                    ImageMode.CHECKPOINT, 3, false, Optional.of(PROCESS), Instant.parse("2026-01-02T03:04:05Z")),
            Optional.of(new ImageRecord.Seal(12345, 0xCAFE, Optional.of(Instant.parse("2026-01-02T03:04:05.678Z")))),
            new ImageState.HandedOver(PROCESS));

    @Test
    void recordIsReadBack() throws IOException {
        assertThat(RecordJson.decode(RecordJson.encode(RECORD), SampleStream.ID))
                .isEqualTo(RECORD);
        ImageRecord partial = new ImageRecord(
                SampleStream.ID,
                new PartialIntent(ImageMode.SAVE, 0, true, Optional.empty(), Instant.EPOCH),
                Optional.empty(),
                new ImageState.Partial());
        assertThat(RecordJson.decode(RecordJson.encode(partial), SampleStream.ID))
                .isEqualTo(partial);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '"',
            value = {
                "formatVersion|3|it has format version 3; this release reads up to 2",
                "formatVersion|1|its format version is not 2",
                "uid|'other'|it is the record of another image, default/vm1/other",
                "vm|'../x'|field vm is not a name",
                "state|'Asleep'|field state is not one of Partial, Complete, Verified, HandedOver, Consumed, Stale",
                "mode|1|field mode is not a text of at most 64 characters",
                "runNumber|-3|field runNumber is not a whole number from 0 to 9223372036854775807",
                "wasRunning|null|field wasRunning is not true or false",
                "startedAt|''|field startedAt is not a time like 2026-01-31T12:00:00Z",
                "source|7|field source is not an object",
                "source.pid|0|field source.pid is not a whole number from 1 to 2147483647",
                "process.bootID|null|field process.bootID is not a text of at most 1024 characters",
                "process.podUID|1|field process.podUID is not a text of at most 1024 characters",
                "process.containerID|[]|field process.containerID is not a text of at most 1024 characters",
                "process.startTicks|-1|field process.startTicks is not a whole number from 0 to 9223372036854775807",
                "file|null|field file is not an object",
                "file.sizeBytes|-1|field file.sizeBytes is not a whole number from 0 to 9223372036854775807",
                "file.modifiedAt|7|field file.modifiedAt is not a text of at most 64 characters",
                "file.headerCrc32c|'1'|field file.headerCrc32c is not a checksum of 8 hexadecimal digits",
            })
    void badFieldIsNamed(String field, String value, String message) {
        byte[] json = SampleJson.resealed(RecordJson.encode(RECORD), field, value);
        assertThatThrownBy(() -> RecordJson.decode(json, SampleStream.ID))
                .isInstanceOf(MalformedImageException.class)
                .hasMessage(message);
    }
}
