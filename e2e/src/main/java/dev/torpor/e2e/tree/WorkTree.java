package dev.torpor.e2e.tree;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The work tree of Torpor's sources. */
public final class WorkTree {
    private WorkTree() {}

    /** Returns the root of the work tree that this JVM was started in. */
    public static Path root() {
        Path start = Path.of("").toAbsolutePath();
        for (Path directory = start; directory != null; directory = directory.getParent()) {
            if (Files.isExecutable(directory.resolve("tools/kubernetes.sh"))) {
                return directory;
            }
        }
        throw new IllegalStateException(
                start + " is not in Torpor's work tree: there is no tools/kubernetes.sh above it");
    }

    /**
     * Runs a script of the work tree and returns what it prints; its standard error goes to ours.
     *
     * @param script path relative to the root
     */
    public static String run(String script, String... arguments) {
        List<String> command = new ArrayList<>();
        command.add(root().resolve(script).toString());
        command.addAll(List.of(arguments));
        try {
            Process process = new ProcessBuilder(command)
                    .redirectError(ProcessBuilder.Redirect.INHERIT)
                    .start();
            String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
            int code = process.waitFor();
            if (code != 0) {
                throw new IllegalStateException(script + " ended with " + code + "; what it said is above");
            }
            return output;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while waiting for " + script, e);
        }
    }
}
