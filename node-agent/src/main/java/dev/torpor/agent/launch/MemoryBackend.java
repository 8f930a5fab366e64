package dev.torpor.agent.launch;

import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A memory backend that a command line names by {@code -object}.
 *
 * @param at place of the option among the words of the command
 * @param id its id, which is also the name of its RAM block in an image
 * @param properties all that is said of it
 */
record MemoryBackend(int at, String id, Properties properties) {
    /** Key of an object's type, which need not be written. */
    static final String TYPE_KEY = "qom-type";

    private static final String TYPES = "memory-backend-";
    private static final String FILE = "memory-backend-file";
    private static final Set<String> KNOWN_TYPES = Set.of("memory-backend-ram", "memory-backend-memfd", FILE);
    /** What is the same for memory that is mapped from an image. */
    private static final List<String> KEPT = List.of("policy", "host-nodes", "merge", "dump");

    private static final Set<String> KNOWN = Set.of(
            TYPE_KEY,
            "id",
            "size",
            "share",
            "mem-path",
            "discard-data",
            "reserve",
            "prealloc",
            "prealloc-threads",
            "hugetlb",
            "seal",
            "policy",
            "host-nodes",
            "merge",
            "dump");
    private static final Pattern SIZE = Pattern.compile("(\\d{1,15})([bBkKmMgGtT]?)");

    /** Reads the value of an {@code -object}; empty if it is no memory backend. */
    static Optional<MemoryBackend> of(int at, Properties object) {
        return object.get(TYPE_KEY)
                .filter(type -> type.startsWith(TYPES))
                .map(_ -> new MemoryBackend(at, object.get("id").orElse(""), object));
    }

    /**
     * Returns in words why this memory cannot be mapped from an image; empty if it can.
     *
     * @param blockBytes size of its RAM block in the image
     */
    Optional<String> objection(long blockBytes) {
        String type = properties.get(TYPE_KEY).orElseThrow();
        if (!KNOWN_TYPES.contains(type)) {
            return objects("is of a type, " + type + ", whose memory cannot come from a file");
        }
        Optional<String> unknown = properties.values().keySet().stream()
                .filter(key -> !KNOWN.contains(key))
                .findFirst();
        if (unknown.isPresent()) {
            return objects("has a property that Torpor does not know: " + unknown.get());
        }
        if (properties.isOn("hugetlb")
                || properties
                        .get("mem-path")
                        .filter(path -> path.contains("huge"))
                        .isPresent()) {
            return objects("is of huge pages (hugetlbfs), which an image's file has not");
        }
        if (properties.isOn("prealloc")) {
            return objects("is to be allocated beforehand (prealloc)");
        }
        if (type.equals(FILE) && properties.isOn("share")) {
            return objects("is a file that others may share");
        }
        if (!properties.get("size").flatMap(MemoryBackend::bytes).equals(Optional.of(blockBytes))) {
            return objects("has the size " + properties.get("size").orElse("(none)") + ", and " + blockBytes
                    + " bytes in the image");
        }
        return Optional.empty();
    }

    private Optional<String> objects(String why) {
        return Optional.of("memory backend " + id + " " + why);
    }

    /** Returns what of this backend goes for the one that takes its place, as further properties. */
    String kept() {
        StringBuilder kept = new StringBuilder();
        for (String key : KEPT) {
            for (String value : properties.values().getOrDefault(key, List.of())) {
                kept.append(',').append(key).append('=').append(value.replace(",", ",,"));
            }
        }
        return kept.toString();
    }

    /** Reads a size as QEMU's objects take it: bytes, or with a suffix. */
    private static Optional<Long> bytes(String size) {
        Matcher matcher = SIZE.matcher(size);
        if (!matcher.matches()) {
            return Optional.empty();
        }
        int shift =
                switch (matcher.group(2)) {
                    case "k", "K" -> 10;
                    case "m", "M" -> 20;
                    case "g", "G" -> 30;
                    case "t", "T" -> 40;
                    default -> 0;
                };
        long number = Long.parseLong(matcher.group(1));
        return number > Long.MAX_VALUE >> shift ? Optional.empty() : Optional.of(number << shift);
    }
}
