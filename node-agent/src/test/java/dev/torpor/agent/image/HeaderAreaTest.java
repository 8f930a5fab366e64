package dev.torpor.agent.image;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.TreeMap;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class HeaderAreaTest {
    private final SampleStream sample = new SampleStream();
    private ImageLayout layout = new ImageLayout(1, List.of(), 0, 0, 0, 0, 0);

    @BeforeEach
    void scan() throws IOException {
        SampleStream.Content content = sample.compose();
        layout = LayoutScan.scan(content, content.sizeBytes(), 2 << 20).layout();
    }

    private static HeaderArea read(byte[] area) throws IOException, TorporException {
        return HeaderArea.read((buffer, offset) -> {
            int n = Math.min(buffer.remaining(), area.length - (int) offset);
            buffer.put(area, (int) offset, n);
            return n;
        });
    }

    private static void refuses(FailureReason reason, String message, byte[] area) {
        assertThatThrownBy(() -> read(area))
                .isInstanceOfSatisfying(
                        TorporException.class, e -> assertThat(e.reason()).isEqualTo(reason))
                .hasMessage(message);
    }

    @Test
    void whatIsWrittenIsReadBack() throws IOException, TorporException {
        byte[] bytes = HeaderArea.encode(sample.header(), layout);
        HeaderArea area = read(bytes);
        assertThat(area.header()).isEqualTo(sample.header());
        assertThat(area.layout()).isEqualTo(layout);
        assertThat(area.formatVersion()).isEqualTo(1);
        assertThat(area.crc32c()).isEqualTo(ByteBuffer.wrap(bytes).getInt(44));
        assertThat(new String(bytes, 0, 8, UTF_8)).isEqualTo("TORPORIM");
        assertThat(ByteBuffer.wrap(bytes).getLong(16)).isEqualTo(1052672);
    }

    /** Each field in turn is missing, of another kind, or out of its range. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '"',
            value = {
                "image|{}|field image.namespace is not a text of at most 1024 characters",
                "image|[]|field image is not an object",
                "image.namespace|'a/b'|field image.namespace is not a name",
                "image.vm|'..'|field image.vm is not a name",
                "image.uid|'x.json'|field image.uid is not a UID",
                "image.mode|'Nap'|field image.mode is not one of Save, ManagedSave, Checkpoint",
                "definition|null|field definition is not an object",
                "definition.qemuVersion|10|field definition.qemuVersion is not a text of at most 1024 characters",
                "definition.machineType|null|field definition.machineType is not a text of at most 1024 characters",
                "definition.vcpus|0|field definition.vcpus is not a whole number from 1 to 4096",
                "definition.vcpus|1.5|field definition.vcpus is not a whole number from 1 to 4096",
                "definition.uuid|false|field definition.uuid is not a text of at most 1024 characters",
                "definition.cpuModel|{}|field definition.cpuModel is not a text of at most 65536 characters",
                "definition.accelerator|[]|field definition.accelerator is not a text of at most 1024 characters",
                "definition.devices|'x'|field definition.devices is not a list of at most 4096 entries",
                "definition.devices|[1]|field definition.devices is not a list of texts of at most 1024 characters",
                "definition.ramBlocks|[]|field definition.ramBlocks is not an object",
                "definition.ramBlocks|{'m0':-1}|field definition.ramBlocks.m0 is not a whole number from 1 to 72057594037927936",
                "definition.memoryBytes|99999999999999999999|field definition.memoryBytes is not a whole number from 1 to 72057594037927936",
                "definition.cpuFeatures|[]|field definition.cpuFeatures is not an object",
                "definition.cpuFeatures|{'1.ECX':4294967296}|field definition.cpuFeatures.1.ECX is not a whole number from 0 to 4294967295",
                "disks|[]|field disks is not an object",
                "disks.claims|{}|field disks.claims is not a list of at most 256 entries",
                "disks.claims|[{'name':'data'}]|field disks.claims[0].uid is not a text of at most 1024 characters",
                "disks.files|[{'file':1}]|field disks.files[0].file is not a text of at most 1024 characters",
                "disks.files|[{'file':'a'}]|field disks.files[0].driver is not a text of at most 1024 characters",
                "disks.files|[{'file':'a','driver':'file','sizeBytes':-1}]|field disks.files[0].sizeBytes is not a whole number from 0 to 9223372036854775807",
                "disks.files|[{'file':'a','driver':'file','sizeBytes':1,'modifiedAt':'noon'}]|field disks.files[0].modifiedAt is not a time like 2026-01-31T12:00:00Z",
                "save|'x'|field save is not an object",
                "save.engine|0|field save.engine is not a text of at most 1024 characters",
                "save.channels|256|field save.channels is not a whole number from 1 to 255",
                "save.directIO|'yes'|field save.directIO is not true or false",
                "save.runNumber|-1|field save.runNumber is not a whole number from 0 to 9223372036854775807",
                "save.wasRunning|1|field save.wasRunning is not true or false",
                "save.startedAt|'noon'|field save.startedAt is not a time like 2026-01-31T12:00:00Z",
                "save.completedAt|'2026'|field save.completedAt is not a time like 2026-01-31T12:00:00Z",
                "layout|7|field layout is not an object",
                "layout.sizeBytes|1|field layout.sizeBytes is not a whole number from 1052672 to 72057594037927936",
                "layout.deviceStateOffsetBytes|0|field layout.deviceStateOffsetBytes is not a whole number from 1052672 to 72057594037927936",
                "layout.presentPages|-1|field layout.presentPages is not a whole number from 0 to 72057594037927936",
                "layout.headersCrc32c|'12'|field layout.headersCrc32c is not a checksum of 8 hexadecimal digits",
                "layout.bitmapsCrc32c|'xyzxyzxy'|field layout.bitmapsCrc32c is not a checksum of 8 hexadecimal digits",
                "layout.deviceStateCrc32c|5|field layout.deviceStateCrc32c is not a text of at most 8 characters",
                "layout.blocks|{}|field layout.blocks is not a list of at most 4096 entries",
                "layout.blocks|[3]|field layout.blocks[0] is not an object",
                "layout.blocks|[{'usedBytes':0}]|field layout.blocks[0].usedBytes is not a whole number from 1 to 72057594037927936",
                "layout.blocks|[{'usedBytes':1}]|field layout.blocks[0].pageBytes is not a whole number from 1 to 72057594037927936",
                "layout.blocks|[{'usedBytes':1,'pageBytes':1}]|field layout.blocks[0].bitmapOffsetBytes is not a whole number from 0 to 72057594037927936",
                "layout.blocks|[{'usedBytes':1,'pageBytes':1,'bitmapOffsetBytes':0}]|field layout.blocks[0].pagesOffsetBytes is not a whole number from 0 to 72057594037927936",
                "layout.blocks|[{'usedBytes':1,'pageBytes':1,'bitmapOffsetBytes':0,'pagesOffsetBytes':0}]|field layout.blocks[0].name is not a text of at most 1024 characters",
            })
    void badFieldIsNamed(String field, String value, String message) {
        byte[] json = SampleJson.with(HeaderJson.encode(sample.header(), layout), field, value);
        refuses(
                FailureReason.ImageDamaged,
                "the image's header is damaged: " + message,
                HeaderArea.seal(json, 1, "0.1.0"));
    }

    @Test
    void fieldsOfLaterReleasesAreIgnored() throws IOException, TorporException {
        byte[] json = SampleJson.with(HeaderJson.encode(sample.header(), layout), "save.compression", "\"none\"");
        assertThat(read(HeaderArea.seal(json, 1, "0.1.0")).header()).isEqualTo(sample.header());
    }

    @Test
    void newerVersionSaysWhatReadsIt() {
        refuses(
                FailureReason.ImageFormatTooNew,
                "the image has format version 3; this release reads up to 2: Torpor 0.4.0 or later reads it",
                HeaderArea.seal("{}".getBytes(UTF_8), 3, "0.4.0"));
    }

    @Test
    void damagedVersionIsNotTakenForANewerOne() {
        refuses(
                FailureReason.ImageDamaged,
                "the image's header is damaged: its format version is 0",
                HeaderArea.seal("{}".getBytes(UTF_8), 0, "0.1.0"));
        refuses(
                FailureReason.ImageDamaged,
                "the image's header is damaged: its format version is 9",
                HeaderArea.seal("{}".getBytes(UTF_8), 9, ""));
    }

    @Test
    void everyFlippedByteIsNoticed() throws IOException {
        byte[] good = HeaderArea.encode(sample.header(), layout);
        for (int i = 0; i < good.length; i++) {
            byte[] bad = good.clone();
            bad[i] ^= 0x20;
            assertThatThrownBy(() -> read(bad)).isInstanceOf(TorporException.class);
        }
    }

    @Test
    void checksumIsComparedBeforeJsonIsLookedAt() {
        byte[] area = HeaderArea.seal("not JSON".getBytes(UTF_8), 1, "0.1.0");
        area[50] = 'x';
        assertThatThrownBy(() -> read(area)).message().contains("its checksum is");
    }

    @Test
    void lengthIsBoundedBeforeAnythingIsRead() {
        for (int length : new int[] {-1, 0, 1, 1 << 24, Integer.MAX_VALUE}) {
            byte[] area = HeaderArea.seal("{}".getBytes(UTF_8), 1, "0.1.0");
            ByteBuffer.wrap(area).putInt(12, length);
            refuses(
                    FailureReason.ImageDamaged,
                    "the image's header is damaged: its length of JSON is " + Integer.toUnsignedString(length),
                    area);
        }
    }

    @Test
    void fileWithoutHeaderWasNeverCommitted() {
        refuses(
                FailureReason.ImageIncomplete,
                "the image was never committed: it has no header",
                new byte[HeaderArea.FIXED_BYTES]);
    }

    @Test
    void otherFilesAndShortOnesAreTold() {
        byte[] other = Arrays.copyOf("LibvirtQemudSave".getBytes(UTF_8), 100);
        refuses(
                FailureReason.ImageDamaged,
                "the image's header is damaged: it does not begin with the magic of a Torpor image",
                other);
        refuses(FailureReason.ImageTruncated, "the image is shorter than its header", new byte[10]);
    }

    @Test
    void headerThatCouldNotBeReadBackIsNotWritten() {
        ImageHeader good = sample.header();
        VmDefinition vm = good.vm();
        VmDefinition hostile = new VmDefinition(
                vm.qemuVersion(),
                vm.machineType(),
                vm.vcpus(),
                vm.uuid(),
                "x".repeat(2 << 20),
                vm.accelerator(),
                vm.devices(),
                new TreeMap<>(vm.ramBlocks()),
                vm.memoryBytes());
        ImageHeader bad = new ImageHeader(
                good.id(),
                good.mode(),
                hostile,
                good.engine(),
                good.channels(),
                good.directIO(),
                good.runNumber(),
                good.wasRunning(),
                good.startedAt(),
                good.completedAt());
        assertThatThrownBy(() -> HeaderArea.encode(bad, layout))
                .isInstanceOf(MalformedImageException.class)
                .hasMessageContaining("bytes of JSON; at most 1052624 fit");
    }
}
