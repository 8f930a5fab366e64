package dev.torpor.e2e.api;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/**
 * Manifests beside these tests: {@code <kind>-<case>.yaml} is accepted; {@code <kind>-invalid-<why>.yaml} is refused
 * with the text in its {@code .err}; {@code <kind>-<case>.pre.yaml} becomes {@code .post.yaml}, refused with the text
 * in {@code .err} if there is one.
 */
final class Fixtures {
    private static final Path DIRECTORY = Path.of("src/test/resources/dev/torpor/e2e/api/fixtures");

    private Fixtures() {}

    static Stream<String> accepted() {
        return names(".yaml")
                .filter(name -> !name.contains("-invalid-") && !name.endsWith(".pre") && !name.endsWith(".post"));
    }

    static Stream<String> refused() {
        return names(".yaml").filter(name -> name.contains("-invalid-"));
    }

    static Stream<String> transitionsAccepted() {
        return names(".pre.yaml").filter(name -> !Files.exists(file(name + ".err")));
    }

    static Stream<String> transitionsRefused() {
        return names(".pre.yaml").filter(name -> Files.exists(file(name + ".err")));
    }

    static Path file(String name) {
        return DIRECTORY.resolve(name).toAbsolutePath();
    }

    /** Returns a manifest's path as {@code kubectl -f} takes it. */
    static String manifest(String name) {
        return file(name + ".yaml").toString();
    }

    /** Returns the text that the refusal must contain. */
    static String message(String name) {
        return read(file(name + ".err"));
    }

    static String read(Path file) {
        try {
            return Files.readString(file).strip();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static Stream<String> names(String suffix) {
        try (var files = Files.list(DIRECTORY)) {
            return files
                    .map(file -> file.getFileName().toString())
                    .filter(name -> name.endsWith(suffix))
                    .map(name -> name.substring(0, name.length() - suffix.length()))
                    .sorted()
                    .toList()
                    .stream();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
