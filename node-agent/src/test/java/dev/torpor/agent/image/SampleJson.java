package dev.torpor.agent.image;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;

/** Changes single fields of JSON. */
final class SampleJson {
    private static final ObjectMapper JSON = new ObjectMapper();

    private SampleJson() {}

    /** The same in an object with a checksum, which is right again afterwards. */
    static byte[] resealed(byte[] sealed, String path, String value) {
        try {
            ObjectNode changed = (ObjectNode) JSON.readTree(with(sealed, path, value));
            changed.remove("crc32c");
            return SealedJson.seal(changed);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Turns an object with a checksum into one of version 1. */
    static byte[] withoutChecksum(byte[] sealed) {
        try {
            ObjectNode old = (ObjectNode) JSON.readTree(sealed);
            old.remove("crc32c");
            if (old.has("file")) {
                ((ObjectNode) old.get("file")).remove("modifiedAt");
            }
            return JSON.writeValueAsBytes(old.put("formatVersion", 1));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Sets the field of a dotted path to a value, in JSON with single quotes. */
    static byte[] with(byte[] json, String path, String value) {
        try {
            JsonNode root = JSON.readTree(json);
            int dot = path.lastIndexOf('.');
            JsonNode parent =
                    dot < 0 ? root : root.at("/" + path.substring(0, dot).replace('.', '/'));
            ((ObjectNode) parent).set(path.substring(dot + 1), JSON.readTree(value.replace('\'', '"')));
            return JSON.writeValueAsBytes(root);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
