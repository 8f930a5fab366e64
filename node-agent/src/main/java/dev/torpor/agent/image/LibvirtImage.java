package dev.torpor.agent.image;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import dev.torpor.agent.linux.Access;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.linux.FileFacts;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import io.airlift.compress.zstd.ZstdInputStream;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;
import java.util.zip.GZIPInputStream;

/**
 * What stands before QEMU's stream in a file that {@code virsh save} wrote (src/qemu/qemu_saveimage.h of libvirt, version 2; the
 * numbers are in the byte order of the machine that wrote it):
 *
 * <pre>
 *  offset  bytes
 *       0     16  "LibvirtQemudSave"; "LibvirtQemudPart" while it is written
 *      16      4  version, 1 or 2
 *      20      4  n, length of what follows the header
 *      24      4  whether the guest ran
 *      28      4  format: 0 raw, 1 gzip, 2 bzip2, 3 xz, 4 lzop, 5 zstd, 6 sparse (mapped-ram)
 *      32      4  where in that the cookie begins; 0: there is none
 *      36     56  zero
 *      92      n  domain XML, zero byte, cookie, zero byte, zeros
 *    92+n         QEMU's stream, compressed as the format says
 * </pre>
 *
 * @param version of libvirt's format
 * @param byteOrder in which its numbers are
 * @param wasRunning whether the guest ran when it was saved
 * @param format how the stream is kept
 * @param xml the domain's definition
 * @param hasCookie whether libvirt's own notes on the domain follow it
 * @param streamOffsetBytes where QEMU's stream begins
 */
public record LibvirtImage(
        int version,
        ByteOrder byteOrder,
        boolean wasRunning,
        Format format,
        String xml,
        boolean hasCookie,
        long streamOffsetBytes) {
    private static final int MAGIC_BYTES = 16;
    private static final String MAGIC = "LibvirtQemudSave";
    private static final String MAGIC_OF_PART = "LibvirtQemudPart";
    private static final int HEADER_BYTES = 92;
    private static final int VERSION_OFFSET = 16;
    private static final int LENGTH_OFFSET = 20;
    private static final int RUNNING_OFFSET = 24;
    private static final int FORMAT_OFFSET = 28;
    private static final int COOKIE_OFFSET = 32;
    private static final int VERSION_MAX = 2;
    // A definition of some ten KiB, the cookie, and 64 KiB left free to edit the definition in.
    private static final int DATA_BYTES_MAX = 4 << 20;
    private static final int STREAM_BUFFER_BYTES = 256 << 10;

    /** How the stream is kept, in libvirt's order, with how it begins. */
    public enum Format {
        RAW(0x5145_564D, Integer.BYTES),
        GZIP(0x1F8B, 2),
        BZIP2(0x425A_68, 3),
        XZ(0xFD37_7A58, Integer.BYTES),
        LZOP(0x894C_5A4F, Integer.BYTES),
        ZSTD(0x28B5_2FFD, Integer.BYTES),
        SPARSE(0x5145_564D, Integer.BYTES);

        private final int begin;
        private final int beginBytes;

        Format(int begin, int beginBytes) {
            this.begin = begin;
            this.beginBytes = beginBytes;
        }

        private boolean begins(int word) {
            return (word >>> (Integer.SIZE - Byte.SIZE * beginBytes)) == begin;
        }
    }

    /**
     * Reads the header of a file.
     *
     * @return empty if it is not one of libvirt's
     * @throws TorporException ImageMissing, ImageIncomplete, ImageTruncated, ImageFormatTooNew, ImageDamaged
     */
    public static Optional<LibvirtImage> read(Path path) throws TorporException {
        Path absolute = path.toAbsolutePath();
        Path parent = absolute.getParent();
        Path name = absolute.getFileName();
        if (parent == null || name == null) {
            return Optional.empty();
        }
        try (Directory directory = Directory.open(parent)) {
            // Opening a FIFO or a device could block or have effects.
            if (directory
                    .facts(name.toString())
                    .filter(FileFacts::isRegularFile)
                    .isEmpty()) {
                return Optional.empty();
            }
            try (Descriptor file = directory.openFile(name.toString(), Access.READ)) {
                return read(file::read);
            }
        } catch (IOException e) {
            throw StoreTrouble.missing(e)
                    ? new TorporException(FailureReason.ImageMissing, "the image's file is missing", e)
                    : StoreTrouble.of("the image cannot be read", e);
        }
    }

    static Optional<LibvirtImage> read(ByteSource file) throws IOException, TorporException {
        ByteBuffer header = ByteBuffer.allocate(HEADER_BYTES);
        int n = file.read(header, 0);
        String magic = n < MAGIC_BYTES ? "" : new String(header.array(), 0, MAGIC_BYTES, StandardCharsets.ISO_8859_1);
        if (magic.equals(MAGIC_OF_PART)) {
            throw new TorporException(FailureReason.ImageIncomplete, "libvirt did not finish writing this image");
        }
        if (!magic.equals(MAGIC)) {
            return Optional.empty();
        }
        if (n < HEADER_BYTES) {
            throw new TorporException(FailureReason.ImageTruncated, "the image is shorter than libvirt's header");
        }
        return Optional.of(read(file, inItsOrder(header)));
    }

    // A version that is too new may be an old one of the other byte order: libvirt tells them apart like that too.
    private static ByteBuffer inItsOrder(ByteBuffer header) throws TorporException {
        for (ByteOrder order : new ByteOrder[] {ByteOrder.LITTLE_ENDIAN, ByteOrder.BIG_ENDIAN}) {
            int version = header.order(order).getInt(VERSION_OFFSET);
            if (version >= 1 && version <= VERSION_MAX) {
                return header;
            }
        }
        throw new TorporException(
                FailureReason.ImageFormatTooNew,
                "the image has version "
                        + Integer.toUnsignedString(
                                header.order(ByteOrder.LITTLE_ENDIAN).getInt(VERSION_OFFSET))
                        + " of libvirt's format; this release reads up to " + VERSION_MAX);
    }

    private static LibvirtImage read(ByteSource file, ByteBuffer header) throws IOException, TorporException {
        int length = header.getInt(LENGTH_OFFSET);
        int format = header.getInt(FORMAT_OFFSET);
        int cookie = header.getInt(COOKIE_OFFSET);
        if (length < 2 || length > DATA_BYTES_MAX) {
            throw damaged("its definition is said to have " + Integer.toUnsignedString(length) + " bytes");
        }
        if (format < 0 || format >= Format.values().length) {
            throw damaged("its format is said to be " + Integer.toUnsignedString(format));
        }
        ByteBuffer data = ByteBuffer.allocate(length + Integer.BYTES);
        if (file.read(data, HEADER_BYTES) < data.capacity()) {
            throw new TorporException(FailureReason.ImageTruncated, "the image ends before QEMU's stream begins");
        }
        int end = 0;
        while (end < length && data.get(end) != 0) {
            end++;
        }
        if (end == 0 || end == length || (cookie != 0 && (cookie <= end || cookie >= length))) {
            throw damaged("its definition does not end where it should");
        }
        Format kept = Format.values()[format];
        if (!kept.begins(data.order(ByteOrder.BIG_ENDIAN).getInt(length))) {
            throw damaged("QEMU's stream does not begin as one does that is kept as "
                    + kept.name().toLowerCase(Locale.ROOT));
        }
        return new LibvirtImage(
                header.getInt(VERSION_OFFSET),
                header.order(),
                header.getInt(RUNNING_OFFSET) != 0,
                kept,
                new String(data.array(), 0, end, StandardCharsets.UTF_8),
                cookie != 0,
                HEADER_BYTES + (long) length);
    }

    /** Returns all that stands before the stream, as indented JSON. */
    public String toJson() {
        return JsonNodeFactory.instance
                .objectNode()
                .put("format", "libvirt")
                .put("formatVersion", version)
                .put("byteOrder", byteOrder.toString())
                .put("wasRunning", wasRunning)
                .put("streamFormat", format.name().toLowerCase(Locale.ROOT))
                .put("streamOffsetBytes", streamOffsetBytes)
                .put("cookie", hasCookie)
                .put("importable", isImportable())
                .put("domain", xml)
                .toPrettyString();
    }

    /** Tells whether an image can be made of it. */
    public boolean isImportable() {
        return switch (format) {
            case RAW, GZIP, ZSTD, SPARSE -> true;
            case BZIP2, XZ, LZOP -> false;
        };
    }

    /**
     * Opens the stream of a file, decompressed. Not of one that is {@link Format#SPARSE}.
     *
     * @param file that this is the header of; kept open by the caller
     * @throws TorporException ImageFormatUnsupported, saying what to do
     */
    InputStream stream(ByteSource file) throws IOException, TorporException {
        InputStream kept = new BufferedInputStream(new SourceStream(file, streamOffsetBytes), STREAM_BUFFER_BYTES);
        return switch (format) {
            case RAW -> kept;
            case GZIP -> new GZIPInputStream(kept, STREAM_BUFFER_BYTES);
            case ZSTD -> new ZstdInputStream(kept);
            case BZIP2, XZ, LZOP, SPARSE ->
                throw new TorporException(
                        FailureReason.ImageFormatUnsupported,
                        "the image is compressed with " + format.name().toLowerCase(Locale.ROOT)
                                + ", which is not read here: restore the domain with libvirt and save it again with"
                                + " virsh save --image-format zstd, raw or sparse");
        };
    }

    /** A file from an offset on. */
    private static final class SourceStream extends InputStream {
        private final ByteSource file;
        private long position;

        SourceStream(ByteSource file, long position) {
            this.file = file;
            this.position = position;
        }

        @Override
        public int read() throws IOException {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xFF;
        }

        @Override
        public int read(byte[] bytes, int offset, int length) throws IOException {
            int n = file.read(ByteBuffer.wrap(bytes, offset, length), position);
            position += n;
            return n == 0 && length > 0 ? -1 : n;
        }
    }

    private static TorporException damaged(String why) {
        return new TorporException(FailureReason.ImageDamaged, "the image that libvirt wrote is damaged: " + why);
    }
}
