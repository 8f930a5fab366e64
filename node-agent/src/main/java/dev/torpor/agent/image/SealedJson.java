package dev.torpor.agent.image;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.zip.CRC32C;

/**
 * A small JSON object on the disk whose last field, {@code crc32c}, is the checksum of all bytes before that field: what a
 * disk changed is not believed, not even where it would still be JSON with all the fields that must be there. Field
 * {@code formatVersion} comes from here: 2. Version 1 had no checksum, and is read as it is.
 *
 * <pre>
 *  {"formatVersion":2, ... ,"crc32c":"0123abcd"}
 *  `------- checksum of this ------'
 * </pre>
 */
public final class SealedJson {
    private static final int VERSION = 2;
    private static final int VERSION_WITHOUT_CHECKSUM = 1;
    private static final String BEFORE = ",\"crc32c\":\"";
    private static final String BEHIND = "\"}";
    private static final int DIGITS = 8;
    private static final int TRAILER_BYTES = BEFORE.length() + DIGITS + BEHIND.length();
    private static final String VERSION_FIELD = "formatVersion";

    private SealedJson() {}

    /** Begins an object, with its version. */
    public static ObjectNode begin() {
        return JsonFields.newObject().put(VERSION_FIELD, VERSION);
    }

    /** Returns the bytes of an object that {@link #begin} began, with their checksum. */
    public static byte[] seal(ObjectNode object) {
        byte[] json = JsonFields.bytes(object);
        int length = json.length - 1; // the closing brace comes behind the checksum
        String trailer = BEFORE + JsonFields.hex(crc(json, length)) + BEHIND;
        byte[] sealed = Arrays.copyOf(json, length + TRAILER_BYTES);
        System.arraycopy(trailer.getBytes(StandardCharsets.US_ASCII), 0, sealed, length, TRAILER_BYTES);
        return sealed;
    }

    /**
     * Reads an object, whose checksum is compared before it is parsed.
     *
     * @param bytes as many as the caller bounds
     * @throws IOException if it is damaged, or of a newer version
     */
    public static JsonNode open(byte[] bytes) throws IOException {
        boolean sealed = isSealed(bytes);
        if (sealed) {
            int length = bytes.length - TRAILER_BYTES;
            String said = new String(bytes, length + BEFORE.length(), DIGITS, StandardCharsets.US_ASCII);
            String actual = JsonFields.hex(crc(bytes, length));
            if (!said.equals(actual)) {
                throw new MalformedImageException("its checksum is " + actual + ", and it says that it is " + said);
            }
        }
        JsonNode object = JsonFields.tree(bytes);
        int version =
                object.path(VERSION_FIELD).isInt() ? object.path(VERSION_FIELD).intValue() : 0;
        if (version > VERSION) {
            throw new NewerVersionException(
                    "it has format version " + version + "; this release reads up to " + VERSION);
        }
        if (version != (sealed ? VERSION : VERSION_WITHOUT_CHECKSUM)) {
            throw new MalformedImageException(
                    sealed ? "its format version is not " + VERSION : "it does not end with its checksum");
        }
        return object;
    }

    private static boolean isSealed(byte[] bytes) {
        int length = bytes.length - TRAILER_BYTES;
        return length > 0 && matches(bytes, length, BEFORE) && matches(bytes, bytes.length - BEHIND.length(), BEHIND);
    }

    private static boolean matches(byte[] bytes, int at, String text) {
        byte[] expected = text.getBytes(StandardCharsets.US_ASCII);
        return Arrays.equals(bytes, at, at + expected.length, expected, 0, expected.length);
    }

    private static int crc(byte[] bytes, int length) {
        CRC32C crc = new CRC32C();
        crc.update(bytes, 0, length);
        return (int) crc.getValue();
    }
}
