package dev.torpor.telemetry.metrics;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Compares the table of docs/metrics.md with what a registry exposes: name, type, labels and meaning (its HELP). */
public final class DocumentedMetrics {
    // A row: | `name` | type | `label`, `label` | meaning |
    private static final Pattern ROW =
            Pattern.compile("\\| `([a-z0-9_]+)` \\| (counter|gauge|histogram|summary) \\| ([^|]*) \\| ([^|]*) \\|");
    private static final Pattern LABEL = Pattern.compile("([a-zA-Z_][a-zA-Z0-9_]*)=\"");

    private DocumentedMetrics() {}

    /** Returns the rows of the document for metrics whose names begin so, sorted by name, as {@link #exposed} spells them. */
    public static List<String> documented(String... prefixes) throws IOException {
        List<String> rows = new ArrayList<>();
        for (String line : Files.readAllLines(document())) {
            Matcher row = ROW.matcher(line);
            if (row.matches() && begins(row.group(1), prefixes)) {
                rows.add(line);
            }
        }
        return rows.stream().sorted().toList();
    }

    /** Returns a row for each metric in Prometheus' text format whose name begins so, sorted by name. */
    public static List<String> exposed(String scrape, String... prefixes) {
        Map<String, String> types = new TreeMap<>();
        Map<String, String> helps = new TreeMap<>();
        Map<String, SortedSet<String>> labels = new TreeMap<>();
        for (String line : scrape.lines().toList()) {
            String[] words = line.split(" ", 4);
            if (line.startsWith("# TYPE ")) {
                types.put(words[2], words[3]);
                labels.put(words[2], new TreeSet<>());
            } else if (line.startsWith("# HELP ")) {
                helps.put(words[2], words.length > 3 ? words[3] : "");
            }
        }
        for (String line : scrape.lines().filter(l -> !l.startsWith("#")).toList()) {
            String name = line.split("[{ ]", 2)[0];
            String family = types.containsKey(name) ? name : name.replaceFirst("_(bucket|sum|count)$", "");
            Matcher label = LABEL.matcher(line);
            while (label.find()) {
                if (!label.group(1).equals("le")) {
                    labels.computeIfAbsent(family, _ -> new TreeSet<>()).add(label.group(1));
                }
            }
        }
        List<String> rows = new ArrayList<>();
        types.forEach((name, type) -> {
            // Micrometer adds the largest value of late to each histogram, as a gauge of its own.
            if (begins(name, prefixes) && !name.endsWith("_max")) {
                String marked = String.join(
                        ", ",
                        labels.getOrDefault(name, new TreeSet<>()).stream()
                                .map(l -> "`" + l + "`")
                                .toList());
                rows.add("| `%s` | %s | %s | %s |".formatted(name, type, marked, helps.getOrDefault(name, "")));
            }
        });
        return rows.stream().sorted().toList();
    }

    private static boolean begins(String name, String... prefixes) {
        for (String prefix : prefixes) {
            if (name.startsWith(prefix)) {
                return true;
            }
        }
        return false;
    }

    private static Path document() {
        // Tests run in the folder of their module.
        return Path.of("..", "docs", "metrics.md");
    }
}
