package dev.torpor.agent.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.torpor.agent.image.SampleStream.Bytes;
import dev.torpor.agent.image.SampleStream.Content;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Random;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class MappedRamStreamTest {
    private static final long START = ImageHeader.STREAM_OFFSET_BYTES;
    private static final long MEMORY_MAX = 1 << 30;
    // Offsets of fields from the start of SampleStream's stream.
    private static final int CAPABILITIES = 24 + 1 + 27 + 4;
    private static final int SECTION = CAPABILITIES + 4 + 11;
    private static final int TOTAL = SECTION + 1 + 4 + 4 + 8;
    private static final int BLOCK = TOTAL + 8;
    private static final int USED = BLOCK + 7;
    private static final int HEADER = USED + 8;

    private final SampleStream sample = new SampleStream();

    private static MappedRamStream parse(Content content) throws IOException {
        return MappedRamStream.parse(content, START, new MappedRamStream.Bounds(content.sizeBytes(), MEMORY_MAX));
    }

    private MappedRamStream parsePatched(int offset, byte[] bytes) throws IOException {
        return parse(sample.compose().patched(START + offset, bytes));
    }

    private static void refuses(String message, ThrowingCallable call) {
        assertThatThrownBy(call)
                .isInstanceOf(MalformedImageException.class)
                .message()
                .startsWith(message);
    }

    @Test
    void blocksAndDeviceStateAreFound() throws IOException {
        Content content = sample.compose();
        MappedRamStream stream = parse(content);
        assertThat(stream.machineType()).isEqualTo("pc-q35-10.0");
        assertThat(stream.capabilities()).containsExactly("mapped-ram");
        assertThat(stream.blocks()).hasSize(2);
        RamBlock ram = stream.blocks().getFirst();
        assertThat(ram.name()).isEqualTo("pc.ram");
        assertThat(ram.pageCount()).isEqualTo(512);
        assertThat(ram.bitmap().lengthBytes()).isEqualTo(64);
        assertThat(ram.pages()).isEqualTo(new Extent(2 << 20, 2 << 20));
        assertThat(stream.deviceStateOffsetBytes()).isEqualTo(content.sizeBytes() - sample.deviceState.length);
        assertThat(stream.headers().getFirst()).isEqualTo(new Extent(START, HEADER + 28));
    }

    @Test
    void addressIsSkippedWithIgnoreShared() throws IOException {
        MappedRamStream plain = parse(sample.compose());
        sample.capabilities.add("x-ignore-shared");
        assertThat(parse(sample.compose()).blocks().getFirst().pages())
                .isEqualTo(plain.blocks().getFirst().pages());
    }

    @Test
    void blockThatQemuLeftOutHasNoExtents() throws IOException {
        SampleStream one = new SampleStream();
        one.blocks = List.of(one.blocks.getFirst());
        Content content = one.compose();
        Content leftOut = content.patched(START + HEADER + 12, new byte[16]);
        MappedRamStream stream = parse(leftOut);
        assertThat(stream.blocks().getFirst().pages()).isEqualTo(new Extent(0, 0));
        assertThat(stream.deviceStateOffsetBytes()).isEqualTo(START + HEADER + 28);
    }

    @ParameterizedTest
    @CsvSource({
        "0, the stream's magic is 0x",
        "4, the stream's version is 0x",
        "8, the configuration section's type is 0x",
        "9, the machine type's length is 4278190091; at most 256",
        "13, the machine type is empty or not text",
        "24, the RAM section's type is 0xff",
        "26, the stream has an unknown subsection",
        "56, the number of capabilities is 4278190081; at most 64",
        "71, the RAM section's type is 0xff",
        "76, the stream ends in the middle",
    })
    void badByteIsNamed(int offset, String message) {
        byte[] bad = {(byte) (offset == 26 ? 'x' : 0xFF)};
        if (offset == 76) {
            // A name that is said to be longer than the file goes on.
            refuses(message, () -> {
                Content content = sample.compose();
                Content cut = new Content(content.parts(), START + 80).patched(START + 76, bad);
                parse(cut);
            });
        } else {
            refuses(message, () -> parsePatched(offset, bad));
        }
    }

    @Test
    void totalBeyondTheVmIsRefused() {
        refuses("the size of RAM is 1099511627776; at most 1073741824", () -> parsePatched(TOTAL, u64((1L << 40) | 4)));
        refuses("the size of RAM is 18446744073709551615, more than any file", () -> parsePatched(TOTAL, u64(-1)));
        refuses("the flags of the size of RAM is 0x0", () -> parsePatched(TOTAL, u64(1 << 20)));
    }

    @Test
    void emptyRamIsRefused() {
        refuses("the stream has no RAM", () -> parsePatched(TOTAL, u64(4)));
    }

    @Test
    void sizesOfBlocksAreBoundedByTheTotal() {
        refuses("the size of RAM block 'pc.ram' is 4398046511104; at most", () -> parsePatched(USED, u64(1L << 42)));
        refuses("the size of RAM block 'pc.ram', 0, is not a positive", () -> parsePatched(USED, u64(0)));
        refuses("the size of RAM block 'pc.ram', 4097, is not a positive", () -> parsePatched(USED, u64(4097)));
    }

    @Test
    void pageSizesAndVersionsAreChecked() {
        refuses("the version of RAM block 'pc.ram' is 0x2", () -> parsePatched(HEADER, u32(2)));
        for (long page : new long[] {0, 1, 4095, 4097, 1L << 31, Long.MAX_VALUE}) {
            refuses("the page size of RAM block 'pc.ram' is " + page, () -> parsePatched(HEADER + 4, u64(page)));
        }
    }

    @Test
    void offsetsStayBehindTheHeaderAndInTheFile() {
        for (long offset : new long[] {1, START, 1L << 40, Long.MAX_VALUE}) {
            refuses("the bitmap of RAM block 'pc.ram' are said", () -> parsePatched(HEADER + 12, u64(offset)));
            refuses("the pages of RAM block 'pc.ram' are said", () -> parsePatched(HEADER + 20, u64(offset)));
        }
        refuses(
                "the pages of RAM block 'pc.ram' begin at 2097153, in the middle",
                () -> parsePatched(HEADER + 20, u64((2 << 20) + 1)));
    }

    @Test
    void blockMayNotAppearTwice() {
        sample.blocks = List.of(sample.blocks.getFirst(), sample.blocks.getFirst());
        refuses("RAM block 'pc.ram' is there twice", () -> parse(sample.compose()));
    }

    @Test
    void endlessBlocksAndSubsectionsAreBounded() {
        Bytes head = new Bytes()
                .raw("QEVM".getBytes(java.nio.charset.StandardCharsets.UTF_8))
                .u32(3)
                .u8(7)
                .u32(1)
                .u8('m');
        for (int i = 0; i < 100; i++) {
            head.u8(5).name("configuration/target-page-bits").u32(1).u32(12);
        }
        byte[] bytes = head.done();
        ByteSource source = (buffer, offset) -> {
            int n = Math.min(buffer.remaining(), bytes.length - (int) offset);
            buffer.put(bytes, (int) offset, n);
            return n;
        };
        refuses(
                "the stream has more than 16 subsections",
                () -> MappedRamStream.parse(source, 0, new MappedRamStream.Bounds(bytes.length, MEMORY_MAX)));
    }

    @Test
    void everyTruncationIsRefused() {
        Content content = sample.compose();
        long end = content.sizeBytes() - sample.deviceState.length;
        for (long size = START; size < START + HEADER + 100; size++) {
            Content cut = new Content(content.parts(), size);
            assertThatThrownBy(() -> parse(cut)).isInstanceOf(MalformedImageException.class);
        }
        assertThatThrownBy(() -> parse(new Content(content.parts(), end - 1)))
                .isInstanceOf(MalformedImageException.class);
    }

    /** Whatever bytes a hostile QEMU writes: an answer within bounds or a clean refusal, nothing else. */
    @Test
    void damagedHeadersNeverEscapeTheBounds() throws IOException {
        Random random = new Random(42);
        Content content = sample.compose();
        for (int i = 0; i < 3000; i++) {
            byte[] noise = new byte[1 + random.nextInt(4)];
            random.nextBytes(noise);
            Content damaged = content.patched(START + random.nextInt(HEADER + 28), noise);
            try {
                for (RamBlock block : parse(damaged).blocks()) {
                    assertThat(block.pages().endBytes()).isLessThanOrEqualTo(content.sizeBytes());
                    assertThat(block.bitmap().endBytes()).isLessThanOrEqualTo(content.sizeBytes());
                }
            } catch (MalformedImageException e) {
                assertThat(e.why()).isNotEmpty();
            }
        }
    }

    private static byte[] u64(long value) {
        return ByteBuffer.allocate(8).putLong(value).array();
    }

    private static byte[] u32(int value) {
        return ByteBuffer.allocate(4).putInt(value).array();
    }
}
