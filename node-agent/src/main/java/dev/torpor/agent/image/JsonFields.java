package dev.torpor.agent.image;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.time.DateTimeException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.List;
import java.util.function.Function;

/** Takes fields out of a JSON object, each by its name, kind and range; what does not fit is named in the error. */
final class JsonFields {
    private static final int DEPTH_MAX = 16;
    private static final int CRC_DIGITS = 8;
    private static final JsonMapper JSON = JsonMapper.builder(JsonFactory.builder()
                    .streamReadConstraints(StreamReadConstraints.builder()
                            .maxNestingDepth(DEPTH_MAX)
                            .build())
                    .build())
            .build();

    private final JsonNode object;
    private final String path;

    private JsonFields(JsonNode object, String path) throws MalformedImageException {
        this.object = object;
        this.path = path;
        if (!object.isObject()) {
            String shown = path.isEmpty() ? "(all)" : path.substring(0, path.length() - 1);
            throw new MalformedImageException("field " + shown + " is not an object");
        }
    }

    /** Parses bytes whose number is bounded by the caller. */
    static JsonFields parse(byte[] json) throws IOException {
        return of(tree(json));
    }

    /** Parses the same into whatever it is. */
    static JsonNode tree(byte[] json) throws IOException {
        try {
            return JSON.readTree(json);
        } catch (JsonProcessingException e) {
            throw new MalformedImageException("not valid JSON: " + e.getOriginalMessage());
        }
    }

    /** Takes an object that was parsed. */
    static JsonFields of(JsonNode json) throws MalformedImageException {
        return new JsonFields(json, "");
    }

    static ObjectNode newObject() {
        return JSON.createObjectNode();
    }

    static byte[] bytes(ObjectNode object) {
        try {
            return JSON.writeValueAsBytes(object);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException(e); // a tree of plain values
        }
    }

    static String hex(int crc) {
        return HexFormat.of().toHexDigits(crc);
    }

    static ArrayNode array(List<String> texts) {
        ArrayNode array = JSON.createArrayNode();
        texts.forEach(array::add);
        return array;
    }

    boolean has(String name) {
        return object.has(name);
    }

    JsonFields object(String name) throws MalformedImageException {
        return new JsonFields(object.path(name), path + name + ".");
    }

    String text(String name, int lengthMax) throws MalformedImageException {
        JsonNode value = object.path(name);
        if (!value.isTextual() || value.textValue().length() > lengthMax) {
            throw wrong(name, "a text of at most " + lengthMax + " characters");
        }
        return value.textValue();
    }

    long number(String name, long min, long max) throws MalformedImageException {
        JsonNode value = object.path(name);
        if (!value.isIntegralNumber()
                || !value.canConvertToLong()
                || value.longValue() < min
                || value.longValue() > max) {
            throw wrong(name, "a whole number from " + min + " to " + max);
        }
        return value.longValue();
    }

    boolean flag(String name) throws MalformedImageException {
        if (!object.path(name).isBoolean()) {
            throw wrong(name, "true or false");
        }
        return object.path(name).booleanValue();
    }

    Instant instant(String name) throws MalformedImageException {
        try {
            return Instant.parse(text(name, 64));
        } catch (DateTimeException e) {
            throw wrong(name, "a time like 2026-01-31T12:00:00Z");
        }
    }

    int crc(String name) throws MalformedImageException {
        String digits = text(name, CRC_DIGITS);
        try {
            return HexFormat.fromHexDigits(digits.length() == CRC_DIGITS ? digits : "?");
        } catch (IllegalArgumentException e) {
            throw wrong(name, "a checksum of " + CRC_DIGITS + " hexadecimal digits");
        }
    }

    /** Takes one of several values by the word that stands for it. */
    <T> T oneOf(String name, T[] values, Function<T, String> word) throws MalformedImageException {
        String text = text(name, 64);
        List<String> words = new ArrayList<>();
        for (T value : values) {
            if (word.apply(value).equals(text)) {
                return value;
            }
            words.add(word.apply(value));
        }
        throw wrong(name, "one of " + String.join(", ", words));
    }

    List<String> texts(String name, int countMax, int lengthMax) throws MalformedImageException {
        JsonNode array = array(name, countMax);
        List<String> texts = new ArrayList<>();
        for (JsonNode value : array) {
            if (!value.isTextual() || value.textValue().length() > lengthMax) {
                throw wrong(name, "a list of texts of at most " + lengthMax + " characters");
            }
            texts.add(value.textValue());
        }
        return texts;
    }

    List<Long> numbers(String name, int countMax, long min, long max) throws MalformedImageException {
        List<Long> numbers = new ArrayList<>();
        for (JsonNode value : array(name, countMax)) {
            if (!value.isIntegralNumber()
                    || !value.canConvertToLong()
                    || value.longValue() < min
                    || value.longValue() > max) {
                throw wrong(name, "a list of whole numbers from " + min + " to " + max);
            }
            numbers.add(value.longValue());
        }
        return numbers;
    }

    List<JsonFields> objects(String name, int countMax) throws MalformedImageException {
        JsonNode array = array(name, countMax);
        List<JsonFields> objects = new ArrayList<>();
        for (int i = 0; i < array.size(); i++) {
            objects.add(new JsonFields(array.get(i), path + name + "[" + i + "]."));
        }
        return objects;
    }

    List<String> names(int countMax) throws MalformedImageException {
        if (object.size() > countMax) {
            throw new MalformedImageException("field " + path + " has more than " + countMax + " entries");
        }
        List<String> names = new ArrayList<>();
        for (Iterator<String> i = object.fieldNames(); i.hasNext(); ) {
            names.add(i.next());
        }
        return names;
    }

    private JsonNode array(String name, int countMax) throws MalformedImageException {
        JsonNode array = object.path(name);
        if (!array.isArray() || array.size() > countMax) {
            throw wrong(name, "a list of at most " + countMax + " entries");
        }
        return array;
    }

    MalformedImageException wrong(String name, String expected) {
        return new MalformedImageException("field " + path + name + " is not " + expected);
    }
}
