package dev.torpor.agent.launch;

import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/**
 * What a pod asks of the agent, as a file {@code ask.<id>}: lines {@code key value}. Unknown keys are left alone, for later
 * launchers.
 */
public sealed interface Asked permits Ask, StopAsk {
    /** Chosen by whoever asks, once for each question. */
    String id();

    /**
     * Parses the content of the file {@code ask.<id>}.
     *
     * @param id from the file's name
     * @throws MalformedAskException if it is not what the launcher writes
     */
    static Asked parse(String id, byte[] content) throws MalformedAskException {
        if (content.length > Ask.BYTES_MAX) {
            throw new MalformedAskException("it has more than " + Ask.BYTES_MAX + " bytes");
        }
        Map<String, String> values = new HashMap<>();
        for (String line : new String(content, StandardCharsets.ISO_8859_1).split("\n", -1)) {
            int blank = line.indexOf(' ');
            if (blank > 0 && values.putIfAbsent(line.substring(0, blank), line.substring(blank + 1)) != null) {
                throw new MalformedAskException("a key is given twice");
            }
        }
        require("version", "1", values);
        require("id", id, values);
        return switch (values.getOrDefault("kind", "")) {
            case "start" -> Ask.of(id, values);
            case "stop" -> new StopAsk(id);
            default -> throw new MalformedAskException("its kind is neither start nor stop");
        };
    }

    private static void require(String key, String value, Map<String, String> values) throws MalformedAskException {
        if (!value.equals(values.get(key))) {
            throw new MalformedAskException("its " + key + " is not " + value);
        }
    }
}
