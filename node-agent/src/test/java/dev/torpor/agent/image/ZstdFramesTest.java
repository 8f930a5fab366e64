package dev.torpor.agent.image;

import static org.assertj.core.api.Assertions.assertThat;

import io.airlift.compress.zstd.ZstdInputStream;
import io.airlift.compress.zstd.ZstdOutputStream;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.util.HexFormat;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Frames as they are written by a compressor, and by hand as RFC 8878 has them. */
class ZstdFramesTest {
    private static final String MAGIC = "28b52ffd";
    /** A raw block of 2 bytes, and one of 5 times the same, which is the last. */
    private static final String BLOCKS = "100000" + "6869" + "2b0000" + "21";

    private static final String SKIPPED = "502a4d18" + "03000000" + "aabbcc";

    @Test
    void aCompressorsFrameHasOneHoweverManyItsBlocks() throws IOException {
        byte[] noise = new byte[700_000];
        new Random(1).nextBytes(noise);
        byte[] frame = compressed(noise);
        assertThat(all(frame)).isTrue();
        assertThat(all(joined(frame, compressed(new byte[1_000_000])))).isTrue();
    }

    @Test
    void aFrameWithoutOneIsFoundAmongOthers() throws IOException {
        // No window, one byte for the size of the content; a window and no size; a number of a dictionary of one byte.
        for (String header :
                new String[] {"20" + "07", "00" + "50", "01" + "50" + "00", "60" + "0700", "a0" + "07000000"}) {
            byte[] plain = HexFormat.of().parseHex(MAGIC + header + BLOCKS);
            if (!header.startsWith("01") && !header.startsWith("60")) {
                assertThat(new ZstdInputStream(new ByteArrayInputStream(plain)).readAllBytes())
                        .as("as others read %s", header)
                        .asString()
                        .isEqualTo("hi!!!!!");
            }
            assertThat(all(plain)).isFalse();
            byte[] good = compressed(new byte[100]);
            assertThat(all(joined(good, plain))).isFalse();
            assertThat(all(joined(plain, good))).isFalse();
            byte[] withOne = HexFormat.of().parseHex(MAGIC + with(header) + BLOCKS + "00000000");
            assertThat(all(joined(withOne, good))).as("behind %s", header).isTrue();
            assertThat(all(joined(withOne, plain))).isFalse();
        }
    }

    @Test
    void whatIsSkippedNeedsNone() throws IOException {
        byte[] skipped = HexFormat.of().parseHex(SKIPPED);
        byte[] frame = compressed(new byte[100]);
        assertThat(all(joined(skipped, frame))).isTrue();
        assertThat(all(joined(frame, skipped))).isTrue();
        assertThat(all(skipped)).as("nothing is checked").isFalse();
    }

    @Test
    void anEndThatIsNoFrameIsNotChecked() throws IOException {
        assertThat(all(joined(compressed(new byte[100]), new byte[] {1}))).isFalse();
        assertThat(all(new byte[0])).isFalse();
    }

    /** Returns a header's descriptor, first of its bytes, with the bit for a checksum. */
    private static String with(String header) {
        int descriptor = HexFormat.fromHexDigits(header.substring(0, 2)) | 4;
        return HexFormat.of().toHexDigits((byte) descriptor) + header.substring(2);
    }

    private static boolean all(byte[] bytes) throws IOException {
        byte[] before = {1, 2, 3};
        byte[] file = joined(before, bytes);
        return ZstdFrames.allHaveChecksums(
                (buffer, offset) -> {
                    int n = (int) Math.max(0, Math.min(buffer.remaining(), file.length - offset));
                    buffer.put(file, (int) Math.min(offset, file.length), n);
                    return n;
                },
                before.length,
                file.length);
    }

    private static byte[] compressed(byte[] plain) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (OutputStream out = new ZstdOutputStream(bytes)) {
            out.write(plain);
        }
        return bytes.toByteArray();
    }

    private static byte[] joined(byte[]... parts) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            bytes.writeBytes(part);
        }
        return bytes.toByteArray();
    }
}
