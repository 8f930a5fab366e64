package dev.torpor.agent.image;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.torpor.agent.image.LibvirtImage.Format;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LibvirtImageTest {
    private static final String XML = "<domain type='kvm'><name>web</name></domain>";
    private static final int DATA_BYTES = 1000;
    private static final int BEGIN_OFFSET = 92 + DATA_BYTES;

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    private static byte[] file(ByteOrder order, int version, int format, int begin) {
        ByteBuffer file = ByteBuffer.allocate(BEGIN_OFFSET + 64).order(order);
        file.put("LibvirtQemudSave".getBytes(UTF_8));
        file.putInt(version).putInt(DATA_BYTES).putInt(1).putInt(format).putInt(100);
        file.put(92, XML.getBytes(UTF_8));
        file.put(92 + 100, "<cookie/>".getBytes(UTF_8));
        return file.order(ByteOrder.BIG_ENDIAN).putInt(BEGIN_OFFSET, begin).array();
    }

    private static byte[] raw() {
        return file(ByteOrder.LITTLE_ENDIAN, 2, 0, 0x5145564D);
    }

    private LibvirtImage read(byte[] bytes) throws IOException, TorporException {
        return LibvirtImage.read(Files.write(temp.resolve("image"), bytes)).orElseThrow();
    }

    private void refuses(FailureReason reason, String message, byte[] bytes) {
        assertThatThrownBy(() -> read(bytes))
                .isInstanceOfSatisfying(
                        TorporException.class, e -> assertThat(e.reason()).isEqualTo(reason))
                .hasMessage(message);
    }

    @Test
    void asJsonItIsForPrograms() throws IOException, TorporException {
        assertThat(new ObjectMapper().readTree(read(raw()).toJson())).isEqualTo(new ObjectMapper().readTree("""
                        {"format": "libvirt", "formatVersion": 2, "byteOrder": "LITTLE_ENDIAN", "wasRunning": true,
                         "streamFormat": "raw", "streamOffsetBytes": 1092, "cookie": true, "importable": true,
                         "domain": "<domain type='kvm'><name>web</name></domain>"}
                        """));
    }

    @ParameterizedTest
    @CsvSource({
        "LITTLE_ENDIAN, 2, 0, RAW, 0x5145564D",
        "BIG_ENDIAN, 2, 0, RAW, 0x5145564D",
        "LITTLE_ENDIAN, 1, 1, GZIP, 0x1F8B0800",
        "LITTLE_ENDIAN, 2, 2, BZIP2, 0x425A6839",
        "LITTLE_ENDIAN, 2, 3, XZ, 0x7D377A58",
        "LITTLE_ENDIAN, 2, 6, SPARSE, 0x5145564D",
        "BIG_ENDIAN, 2, 5, ZSTD, 0x28B52FFD",
    })
    void itsHeaderIsRead(String order, int version, int number, Format format, int begin)
            throws IOException, TorporException {
        int really = format == Format.XZ ? 0xFD377A58 : begin; // no int in a table is that large
        ByteOrder byteOrder = order.startsWith("B") ? ByteOrder.BIG_ENDIAN : ByteOrder.LITTLE_ENDIAN;
        assertThat(read(file(byteOrder, version, number, really)))
                .isEqualTo(new LibvirtImage(version, byteOrder, true, format, XML, true, BEGIN_OFFSET));
    }

    @Test
    void whatIsNotOfLibvirtIsLeftToOthers() throws IOException, TorporException {
        assertThat(LibvirtImage.read(Files.write(temp.resolve("other"), new byte[200])))
                .isEmpty();
        assertThat(LibvirtImage.read(Files.write(temp.resolve("empty"), new byte[0])))
                .isEmpty();
        assertThat(LibvirtImage.read(temp.resolve("none"))).isEmpty();
        assertThat(LibvirtImage.read(temp)).isEmpty();
    }

    @Test
    void whatIsWrongIsSaid() {
        byte[] part = raw();
        System.arraycopy("Part".getBytes(UTF_8), 0, part, 12, 4);
        refuses(FailureReason.ImageIncomplete, "libvirt did not finish writing this image", part);
        refuses(
                FailureReason.ImageFormatTooNew,
                "the image has version 3 of libvirt's format; this release reads up to 2",
                file(ByteOrder.LITTLE_ENDIAN, 3, 0, 0x5145564D));
        refuses(FailureReason.ImageTruncated, "the image is shorter than libvirt's header", Arrays.copyOf(raw(), 91));
        refuses(
                FailureReason.ImageTruncated,
                "the image ends before QEMU's stream begins",
                Arrays.copyOf(raw(), BEGIN_OFFSET + 3));
        refuses(
                FailureReason.ImageDamaged,
                "the image that libvirt wrote is damaged: its format is said to be 7",
                file(ByteOrder.LITTLE_ENDIAN, 2, 7, 0));
        refuses(
                FailureReason.ImageDamaged,
                "the image that libvirt wrote is damaged: QEMU's stream does not begin as one does that is kept as zstd",
                file(ByteOrder.LITTLE_ENDIAN, 2, 5, 0x5145564D));
        byte[] endless = raw();
        Arrays.fill(endless, 92, BEGIN_OFFSET, (byte) 'x');
        refuses(
                FailureReason.ImageDamaged,
                "the image that libvirt wrote is damaged: its definition does not end where it should",
                endless);
        byte[] tooLong = raw();
        ByteBuffer.wrap(tooLong).order(ByteOrder.LITTLE_ENDIAN).putInt(20, -1);
        refuses(
                FailureReason.ImageDamaged,
                "the image that libvirt wrote is damaged: its definition is said to have 4294967295 bytes",
                tooLong);
        byte[] cookie = raw();
        ByteBuffer.wrap(cookie).order(ByteOrder.LITTLE_ENDIAN).putInt(32, 5);
        refuses(
                FailureReason.ImageDamaged,
                "the image that libvirt wrote is damaged: its definition does not end where it should",
                cookie);
    }
}
