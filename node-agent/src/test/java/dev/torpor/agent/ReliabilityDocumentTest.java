package dev.torpor.agent;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** Documents promise what tests show: each row names at least one, and all that are named exist. */
class ReliabilityDocumentTest {
    private static final Path ROOT = Path.of("..").toAbsolutePath().normalize();
    private static final List<String> MODULES = List.of("crds", "e2e", "node-agent", "operator", "telemetry");
    private static final Pattern NAMED = Pattern.compile("`([A-Z][A-Za-z0-9]+)\\.([a-z][A-Za-z0-9]+)`");
    private static final int ROWS_MIN = 60;

    @Test
    void everyRowNamesTestsThatExist() throws IOException {
        assertThat(rowsOf("docs/reliability.md", "| test |")).hasSizeGreaterThanOrEqualTo(ROWS_MIN);
    }

    @Test
    void soDoesEveryTrapOfKubernetes() throws IOException {
        assertThat(rowsOf("docs/dev/kubernetes-traps.md", "| shown by |")).hasSize(17);
    }

    /** Returns the rows of a document's tables, whose last columns were looked at. */
    private static List<String> rowsOf(String document, String head) throws IOException {
        List<String> rows = Files.readAllLines(ROOT.resolve(document)).stream()
                .filter(line -> line.startsWith("| ") && !line.endsWith(head))
                .toList();
        Map<String, List<Path>> sources = sources();
        for (String row : rows) {
            String last = row.substring(row.lastIndexOf('|', row.length() - 2));
            Matcher named = NAMED.matcher(last);
            assertThat(named.results()).as("tests in %s", row).isNotEmpty();
            for (Matcher test = NAMED.matcher(last); test.find(); ) {
                assertThat(isTest(sources.getOrDefault(test.group(1), List.of()), test.group(2)))
                        .as("%s of %s", test.group(), row)
                        .isTrue();
            }
        }
        return rows;
    }

    /** A method with an annotation of JUnit's, whatever stands between the two. */
    private static boolean isTest(List<Path> classes, String method) throws IOException {
        Pattern test = Pattern.compile(
                "@(Test|ParameterizedTest)\\b(?:(?!\\bvoid ).)*\\bvoid " + method + "\\(", Pattern.DOTALL);
        for (Path source : classes) {
            if (test.matcher(Files.readString(source)).find()) {
                return true;
            }
        }
        return false;
    }

    /** Sources of tests by the name of their class, of which there may be several in different packages. */
    private static Map<String, List<Path>> sources() throws IOException {
        Stream.Builder<Path> all = Stream.builder();
        for (String module : MODULES) {
            try (Stream<Path> files = Files.walk(ROOT.resolve(module).resolve("src/test/java"))) {
                files.filter(file -> file.toString().endsWith(".java")).forEach(all);
            }
        }
        return all.build().collect(Collectors.groupingBy(file -> String.valueOf(file.getFileName())
                .replace(".java", "")));
    }
}
