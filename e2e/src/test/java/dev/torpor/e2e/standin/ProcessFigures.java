package dev.torpor.e2e.standin;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/**
 * What a process has, as {@code /proc} tells.
 *
 * @param anonymousBytes of memory that no file backs ({@code RssAnon})
 * @param threads of it
 * @param descriptors that it has open
 */
record ProcessFigures(long anonymousBytes, int threads, int descriptors) {
    static ProcessFigures of(long pid) throws IOException {
        Path process = Path.of("/proc", Long.toString(pid));
        List<String> status = Files.readAllLines(process.resolve("status"));
        try (Stream<Path> descriptors = Files.list(process.resolve("fd"))) {
            return new ProcessFigures(
                    number(status, "RssAnon:") << 10,
                    Math.toIntExact(number(status, "Threads:")),
                    Math.toIntExact(descriptors.count()));
        }
    }

    @Override
    public String toString() {
        return "%d MiB, %d threads, %d descriptors".formatted(anonymousBytes >> 20, threads, descriptors);
    }

    private static long number(List<String> status, String name) {
        return status.stream()
                .filter(line -> line.startsWith(name))
                .mapToLong(line -> Long.parseLong(line.replaceAll("[^0-9]", "")))
                .findFirst()
                .orElseThrow();
    }
}
