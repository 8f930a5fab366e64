package dev.torpor.agent.image;

import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.zip.CRC32C;

/**
 * What stands before QEMU's stream. Numbers are big-endian, as in the stream:
 *
 * <pre>
 *  offset  bytes
 *       0      8  magic "TORPORIM"
 *       8      4  format version, 1; 2 if streams of channels follow ({@link ChannelLayout})
 *      12      4  length n of the JSON
 *      16      8  offset of QEMU's stream, 1052672
 *      24     16  oldest release of Torpor that reads this version: ASCII, then zeros
 *      40      4  zero
 *      44      4  CRC32C of bytes 0 to 43 and of the JSON
 *      48      n  JSON, UTF-8
 *    48+n         zeros, up to 1052672 (1 MiB + 4 KiB)
 * </pre>
 *
 * Magic, version and release keep their places in every later version.
 *
 * @param header what the image says of itself
 * @param layout where things are
 * @param formatVersion version of the format that it was written in
 * @param crc32c the checksum that stands in it
 */
record HeaderArea(ImageHeader header, ImageLayout layout, int formatVersion, int crc32c) {
    static final int FIXED_BYTES = 48;
    static final int CRC_OFFSET = 44;
    private static final byte[] MAGIC = "TORPORIM".getBytes(StandardCharsets.US_ASCII);
    private static final int LENGTH_OFFSET = 12;
    private static final int STREAM_OFFSET = 16;
    private static final int RELEASE_OFFSET = 24;
    private static final int RELEASE_BYTES = 16;
    private static final int RESERVED_OFFSET = 40;
    private static final String RELEASE = "0.1.0";
    private static final int JSON_BYTES_MAX = (int) ImageHeader.STREAM_OFFSET_BYTES - FIXED_BYTES;

    /**
     * Returns the bytes to be written at the start of the file.
     *
     * @throws MalformedImageException if it could not be read back: too long, or a value out of its range
     */
    static byte[] encode(ImageHeader header, ImageLayout layout) throws IOException {
        byte[] json = HeaderJson.encode(header, layout);
        if (json.length > JSON_BYTES_MAX) {
            throw new MalformedImageException(
                    "the header has " + json.length + " bytes of JSON; at most " + JSON_BYTES_MAX + " fit");
        }
        if (!HeaderJson.decode(json).equals(new HeaderJson.Decoded(header, layout))) {
            throw new MalformedImageException("the header cannot be read back");
        }
        return seal(json, version(layout), RELEASE);
    }

    private static int version(ImageLayout layout) {
        return layout.channels().isPresent() ? ImageHeader.FORMAT_VERSION_OF_CHANNELS : ImageHeader.FORMAT_VERSION;
    }

    static byte[] seal(byte[] json, int version, String release) {
        ByteBuffer area = ByteBuffer.allocate(FIXED_BYTES + json.length);
        area.put(MAGIC).putInt(version).putInt(json.length).putLong(ImageHeader.STREAM_OFFSET_BYTES);
        area.put(Arrays.copyOf(release.getBytes(StandardCharsets.US_ASCII), RELEASE_BYTES));
        area.put(FIXED_BYTES, json);
        return area.putInt(CRC_OFFSET, crc(area.array())).array();
    }

    private static int crc(byte[] area) {
        CRC32C crc = new CRC32C();
        crc.update(area, 0, CRC_OFFSET);
        crc.update(area, FIXED_BYTES, area.length - FIXED_BYTES);
        return (int) crc.getValue();
    }

    /**
     * Reads a header area. The checksum is compared before any of the JSON is looked at.
     *
     * @throws TorporException ImageIncomplete, ImageFormatTooNew, ImageDamaged, ImageTruncated
     * @throws IOException if it cannot be read
     */
    static HeaderArea read(ByteSource source) throws IOException, TorporException {
        ByteBuffer fixed = ByteBuffer.allocate(FIXED_BYTES);
        if (source.read(fixed, 0) < FIXED_BYTES) {
            throw new TorporException(FailureReason.ImageTruncated, "the image is shorter than its header");
        }
        byte[] magic = Arrays.copyOf(fixed.array(), MAGIC.length);
        if (Arrays.equals(magic, new byte[MAGIC.length])) {
            throw new TorporException(FailureReason.ImageIncomplete, "the image was never committed: it has no header");
        }
        if (!Arrays.equals(magic, MAGIC)) {
            throw damaged("it does not begin with the magic of a Torpor image");
        }
        int version = fixed.getInt(MAGIC.length);
        if (version != ImageHeader.FORMAT_VERSION && version != ImageHeader.FORMAT_VERSION_OF_CHANNELS) {
            throw otherVersion(version, fixed.array());
        }
        int length = fixed.getInt(LENGTH_OFFSET);
        if (length < 2 || length > JSON_BYTES_MAX) {
            throw damaged("its length of JSON is " + Integer.toUnsignedString(length));
        }
        ByteBuffer area = ByteBuffer.allocate(FIXED_BYTES + length);
        if (source.read(area, 0) < area.capacity()) {
            throw new TorporException(FailureReason.ImageTruncated, "the image is shorter than its header");
        }
        int crc = area.getInt(CRC_OFFSET);
        int actual = crc(area.array());
        if (crc != actual) {
            throw damaged(
                    "its checksum is " + JsonFields.hex(actual) + ", and it says that it is " + JsonFields.hex(crc));
        }
        if (area.getLong(STREAM_OFFSET) != ImageHeader.STREAM_OFFSET_BYTES || area.getInt(RESERVED_OFFSET) != 0) {
            throw damaged("offset of the stream or reserved bytes are not those of version " + version);
        }
        try {
            HeaderJson.Decoded decoded =
                    HeaderJson.decode(Arrays.copyOfRange(area.array(), FIXED_BYTES, area.capacity()));
            if (version(decoded.layout()) != version) {
                throw damaged("its layout is not one of format version " + version);
            }
            return new HeaderArea(decoded.header(), decoded.layout(), version, crc);
        } catch (MalformedImageException e) {
            throw damaged(e.why());
        }
    }

    private static TorporException otherVersion(int version, byte[] fixed) {
        String release = new String(fixed, RELEASE_OFFSET, RELEASE_BYTES, StandardCharsets.US_ASCII).strip();
        int end = release.indexOf(0);
        release = end < 0 ? release : release.substring(0, end);
        if (version < ImageHeader.FORMAT_VERSION || !release.matches("[0-9A-Za-z.+-]+")) {
            return damaged("its format version is " + Integer.toUnsignedString(version));
        }
        return new TorporException(
                FailureReason.ImageFormatTooNew,
                "the image has format version " + version + "; this release reads up to "
                        + ImageHeader.FORMAT_VERSION_OF_CHANNELS + ": Torpor " + release + " or later reads it");
    }

    private static TorporException damaged(String why) {
        return new TorporException(FailureReason.ImageDamaged, "the image's header is damaged: " + why);
    }
}
