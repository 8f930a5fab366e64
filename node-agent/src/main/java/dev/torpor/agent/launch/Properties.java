package dev.torpor.agent.launch;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The value of an option of QEMU's that is a list of properties: {@code type,key=value,…} with {@code ,,} for a comma in a
 * value, or a JSON object.
 *
 * @param values in order; a key that is given several times has several
 */
record Properties(Map<String, List<String>> values) {
    private static final ObjectMapper JSON = new ObjectMapper();

    /**
     * Reads one.
     *
     * @param implied key of a first word that has none
     * @return empty if it is neither, or JSON with values that are more than a scalar or a list of scalars
     */
    static Optional<Properties> parse(String text, String implied) {
        return text.startsWith("{") ? json(text) : Optional.of(keyValue(text, implied));
    }

    private static Optional<Properties> json(String text) {
        Map<String, List<String>> values = new LinkedHashMap<>();
        try {
            JsonNode object = JSON.readTree(text);
            for (Map.Entry<String, JsonNode> field : object.properties()) {
                List<String> list = new ArrayList<>();
                for (JsonNode value : field.getValue().isArray() ? field.getValue() : List.of(field.getValue())) {
                    if (!value.isValueNode()) {
                        return Optional.empty();
                    }
                    list.add(value.isBoolean() ? value.asBoolean() ? "on" : "off" : value.asText());
                }
                values.put(field.getKey(), list);
            }
        } catch (JsonProcessingException e) {
            return Optional.empty();
        }
        return Optional.of(new Properties(values));
    }

    private static Properties keyValue(String text, String implied) {
        Map<String, List<String>> values = new LinkedHashMap<>();
        boolean first = true;
        for (String word : words(text)) {
            int equals = word.indexOf('=');
            String key = equals >= 0 ? word.substring(0, equals) : first ? implied : word;
            String value = equals >= 0 ? word.substring(equals + 1) : first ? word : "on";
            values.computeIfAbsent(key, _ -> new ArrayList<>()).add(value);
            first = false;
        }
        return new Properties(values);
    }

    private static List<String> words(String text) {
        List<String> words = new ArrayList<>();
        StringBuilder word = new StringBuilder();
        for (int i = 0; i < text.length(); i++) {
            if (text.charAt(i) != ',') {
                word.append(text.charAt(i));
            } else if (i + 1 < text.length() && text.charAt(i + 1) == ',') {
                word.append(',');
                i++;
            } else {
                words.add(word.toString());
                word.setLength(0);
            }
        }
        words.add(word.toString());
        return words;
    }

    /** Returns the value of a key, the last one if it is given several times. */
    Optional<String> get(String key) {
        return Optional.ofNullable(values.get(key))
                .filter(list -> !list.isEmpty())
                .map(List::getLast);
    }

    /** Tells whether a key is given and means yes. */
    boolean isOn(String key) {
        return get(key).filter(value -> List.of("on", "yes", "true", "y").contains(value))
                .isPresent();
    }
}
