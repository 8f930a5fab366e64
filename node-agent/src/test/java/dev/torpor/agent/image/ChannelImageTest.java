package dev.torpor.agent.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Images of streams, on the real file system. */
class ChannelImageTest {
    private static final int MIB = 1 << 20;
    private static final long BASE = ImageHeader.STREAM_OFFSET_BYTES;
    private static final Compression ZSTD_3 = SampleImages.ZSTD_3;

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @SuppressWarnings("NullAway.Init")
    private ImageStore store;

    private final SampleStream sample = new SampleStream();

    @BeforeEach
    void open() throws TorporException {
        store = ImageStore.open(temp.resolve("store"));
    }

    @AfterEach
    void close() throws TorporException {
        store.close();
    }

    private Path file() {
        return temp.resolve("store").resolve(SampleStream.ID.relativePath());
    }

    private static byte[] main(String machine, int bytes, byte[] end) throws IOException {
        return SampleImages.mainChannel(machine, bytes, end);
    }

    private static byte[] main() throws IOException {
        return SampleImages.mainChannel();
    }

    private static byte[] random(int bytes) {
        return SampleImages.random(bytes);
    }

    private static ChannelLayout write(PartialImage partial, boolean directIO, byte[]... streams)
            throws IOException, TorporException {
        return SampleImages.write(partial, directIO, List.of(streams));
    }

    private PartialImage create() throws TorporException {
        return store.create(
                SampleStream.ID, new PartialIntent(ImageMode.SAVE, 7, true, Optional.empty(), Instant.EPOCH));
    }

    private CommittedImage commit(byte[]... streams) throws IOException, TorporException {
        PartialImage partial = create();
        return partial.commit(sample.header(), write(partial, store.directIO(), streams));
    }

    private static List<byte[]> read(CommittedImage image, boolean directIO) throws IOException, TorporException {
        return SampleImages.read(image, directIO);
    }

    private void patch(long offset, byte... bytes) throws IOException {
        try (FileChannel channel = FileChannel.open(file(), StandardOpenOption.WRITE)) {
            channel.write(ByteBuffer.wrap(bytes), offset);
        }
    }

    private static void refuses(FailureReason reason, String message, ThrowingCallable call) {
        assertThatThrownBy(call)
                .isInstanceOfSatisfying(
                        TorporException.class, e -> assertThat(e.reason()).isEqualTo(reason))
                .hasMessageContaining(message);
    }

    /** Each reads what the other wrote. */
    @ParameterizedTest
    @CsvSource({"true, true", "true, false", "false, true", "false, false"})
    void whatIsWrittenIsReadBack(boolean writesDirectly, boolean readsDirectly) throws IOException, TorporException {
        byte[][] streams = {main(), random(3 * MIB), random(MIB + 1), random(64), random(2 * MIB - 4096)};
        PartialImage partial = create();
        ChannelLayout layout = write(partial, writesDirectly, streams);
        CommittedImage committed = partial.commit(sample.header(), layout);
        assertThat(committed.formatVersion()).isEqualTo(2);
        assertThat(committed.layout().channels()).contains(layout);
        assertThat(layout.lengthsBytes())
                .isEqualTo(Arrays.stream(streams).map(s -> (long) s.length).toList());
        CommittedImage image = store.open(SampleStream.ID);
        assertThat(image.header()).isEqualTo(sample.header());
        assertThat(image.layout()).isEqualTo(committed.layout());
        assertThat(image.layout().channels().orElseThrow().compression()).isEqualTo(ZSTD_3);
        // As buffers: a recursive comparison looks at each byte by itself, for ten seconds.
        assertThat(read(image, readsDirectly).stream().map(ByteBuffer::wrap))
                .containsExactlyElementsOf(
                        Arrays.stream(streams).map(ByteBuffer::wrap).toList());
        assertThat(image.verify((_, _) -> {})).isEqualTo(new PageCheck(layout.totalBytes(), true));
    }

    @Test
    void unitsStandInTurnsAndTheShorterChannelsLeaveHoles() throws IOException, TorporException {
        byte[] busy = random(5 * MIB);
        CommittedImage image = commit(main(), busy, random(64), random(64));
        try (FileChannel channel = FileChannel.open(file())) {
            for (int unit = 0; unit < 5; unit++) {
                ByteBuffer there = ByteBuffer.allocate(MIB);
                channel.read(there, BASE + (4L * unit + 1) * MIB);
                assertThat(there.array()).isEqualTo(Arrays.copyOfRange(busy, unit * MIB, (unit + 1) * MIB));
            }
        }
        // 5 rows of 4 units, then the table of 8 checksums.
        assertThat(image.sizeBytes()).isEqualTo(BASE + 20L * MIB + 4096);
        // The busy channel, one block for each other, the header's and the table's; the file system's own on top.
        assertThat(image.allocatedBytes()).isBetween(5L * MIB + 4 * 4096, 5L * MIB + 16 * 4096);
    }

    @Test
    void theTableStandsBehindAllAndIsOfTheBytesAlone() throws IOException, TorporException {
        byte[] main = main();
        CommittedImage image = commit(main, random(64));
        java.util.zip.CRC32C crc = new java.util.zip.CRC32C();
        crc.update(main);
        try (FileChannel channel = FileChannel.open(file())) {
            ByteBuffer table = ByteBuffer.allocate(8);
            channel.read(table, BASE + 2L * MIB);
            assertThat(table.getInt(0)).isEqualTo((int) crc.getValue());
        }
        assertThat(image.toJson())
                .contains("\"checksumsOffsetBytes\" : " + (BASE + 2L * MIB), "\"compressionLevel\" : 3", "\"zstd\"");
    }

    @ParameterizedTest
    @ValueSource(longs = {BASE + 7, BASE + MIB + 63})
    void aBitThatFlippedIsNotReadPast(long offset) throws IOException, TorporException {
        commit(main(), random(64));
        patch(offset, (byte) 0x55);
        CommittedImage image = store.open(SampleStream.ID);
        refuses(FailureReason.ImageDamaged, "the image is damaged: the checksum of channel", () -> read(image, false));
        refuses(FailureReason.ImageDamaged, "was committed", () -> image.verify((_, _) -> {}));
        refuses(FailureReason.ImageDamaged, "was committed", () -> store.verify(SampleStream.ID, (_, _) -> {}));
    }

    @Test
    void aDamagedTableIsSeenWhenItIsOpened() throws IOException, TorporException {
        commit(main(), random(64));
        patch(BASE + 2L * MIB, (byte) 0x55);
        refuses(FailureReason.ImageDamaged, "its table of checksums", () -> store.open(SampleStream.ID));
    }

    @Test
    void aFileThatIsShorterIsSeenWhenItIsOpened() throws IOException, TorporException {
        CommittedImage image = commit(main(), random(64));
        try (FileChannel channel = FileChannel.open(file(), StandardOpenOption.WRITE)) {
            channel.truncate(image.sizeBytes() - 1);
        }
        refuses(FailureReason.ImageTruncated, "were committed", () -> store.open(SampleStream.ID));
    }

    @Test
    void itIsVerifiedLikeAnyOther() throws IOException, TorporException {
        commit(main(), random(64));
        assertThat(store.verify(SampleStream.ID, (_, _) -> {})).isTrue();
        assertThat(store.state(SampleStream.ID)).contains(new ImageState.Verified());
        assertThat(store.open(SampleStream.ID).verify((_, _) -> {}).compared()).isTrue();
    }

    @Test
    void aStreamThatIsNotWholeIsNotCommitted() throws IOException {
        byte[] end = SampleStream.deviceState("{\"devices\":[]}");
        check("the stream's magic is 0x", random(2000), random(64));
        check("it is of a machine pc, and QEMU says that it is pc-q35-10.0", main("pc", 0, end), random(64));
        check("does not end where", main(SampleStream.MACHINE, 9, Arrays.copyOf(end, end.length - 1)), random(64));
        check("channel 1 is empty", main(), random(64), new byte[0]);
    }

    private void check(String why, byte[]... streams) {
        refuses(FailureReason.ImageCheckFailed, why, () -> commit(streams));
        assertThatThrownBy(() -> store.open(SampleStream.ID)).isInstanceOf(TorporException.class);
        try {
            store.delete(SampleStream.ID);
        } catch (TorporException e) {
            throw new IllegalStateException(e);
        }
    }

    @Test
    void aFileThatSomebodyChangedIsNotCommitted() throws IOException, TorporException {
        PartialImage partial = create();
        ChannelLayout layout = write(partial, false, main(), random(64));
        patch(layout.sizeBytes(), (byte) 1);
        refuses(
                FailureReason.ImageCheckFailed,
                "bytes, and " + layout.sizeBytes() + " were written",
                () -> partial.commit(sample.header(), layout));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '"',
            value = {
                "layout.channels|7|field layout.channels is not an object",
                "layout.channels.compression|'lz4'|field layout.channels.compression is not one of none, zlib, zstd",
                "layout.channels.compressionLevel|21|field layout.channels.compressionLevel is not a whole number from 0 to 20",
                "layout.channels.lengthsBytes|[]|it is said to have 0 channels of 0 units: at least 1 and at most 67108864 are possible",
                "layout.channels.lengthsBytes|[1,72057594037927936]|it is said to have 2 channels of 68719476738 units: at least 1 and at most 67108864 are possible",
                "layout.channels.lengthsBytes|[1,-1]|field layout.channels.lengthsBytes is not a list of whole numbers from 0 to 72057594037927936",
                "layout.channels.unitBytes|4096|field layout.channels.unitBytes is not 1048576",
                "layout.channels.checksumsOffsetBytes|0|field layout.channels.checksumsOffsetBytes is not 3149824",
                "layout.channels.checksumsCrc32c|'12'|field layout.channels.checksumsCrc32c is not a checksum of 8 hexadecimal digits",
                "layout.sizeBytes|4096|field layout.sizeBytes is not 3153920",
            })
    void badFieldIsNamed(String field, String value, String message) {
        ImageLayout layout = ImageLayout.of(new ChannelLayout(ZSTD_3, List.of(10L, 64L), 5));
        byte[] json = SampleJson.with(HeaderJson.encode(sample.header(), layout), field, value);
        byte[] area = HeaderArea.seal(json, 2, "0.1.0");
        assertThatThrownBy(() -> read(area)).hasMessage("the image's header is damaged: " + message);
    }

    @Test
    void theVersionSaysWhatFollows() {
        ImageLayout layout = ImageLayout.of(new ChannelLayout(ZSTD_3, List.of(10L, 64L), 5));
        byte[] area = HeaderArea.seal(HeaderJson.encode(sample.header(), layout), 1, "0.1.0");
        assertThatThrownBy(() -> read(area))
                .hasMessage("the image's header is damaged: its layout is not one of format version 1");
    }

    private static HeaderArea read(byte[] area) throws IOException, TorporException {
        return HeaderArea.read((buffer, offset) -> {
            int n = Math.min(buffer.remaining(), area.length - (int) offset);
            buffer.put(area, (int) offset, n);
            return n;
        });
    }
}
