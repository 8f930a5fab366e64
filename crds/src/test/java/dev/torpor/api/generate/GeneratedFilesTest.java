package dev.torpor.api.generate;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

/**
 * The committed files are what the Java types say. With {@code -Dtorpor.generate=true}, as {@code make generate} sets
 * it, they are written first.
 */
class GeneratedFilesTest {
    private static final boolean WRITE = Boolean.getBoolean("torpor.generate");
    private static final Path WORK_TREE = Path.of("..").toAbsolutePath().normalize();

    @Test
    void committedFilesAreNotStale() throws IOException {
        for (Map.Entry<Path, String> file : generated().entrySet()) {
            if (WRITE) {
                Files.createDirectories(file.getKey().getParent());
                Files.writeString(file.getKey(), file.getValue());
            }
            assertThat(file.getKey())
                    .as("run `make generate` and commit what it writes")
                    .exists();
            assertThat(Files.readString(file.getKey()))
                    .as("%s is stale: run `make generate` and commit what it writes", file.getKey())
                    .isEqualTo(file.getValue());
        }
        try (var files = Files.list(WORK_TREE.resolve("crds/manifests"))) {
            assertThat(files).as("every manifest comes from a kind").allSatisfy(file -> assertThat(generated())
                    .containsKey(file));
        }
    }

    private static Map<Path, String> generated() throws IOException {
        Map<Path, String> files = new TreeMap<>();
        Manifests.generate()
                .forEach((name, text) ->
                        files.put(WORK_TREE.resolve("crds/manifests").resolve(name), text));
        return files;
    }
}
