package dev.torpor.e2e.cluster;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The folder with etcd and the Kubernetes binaries: {@code tools/kubernetes.sh} compiles what is missing and prints
 * it; {@code TORPOR_K8S_BIN} names one that exists. The first call on a new machine takes minutes.
 *
 * @param directory absolute path of the folder
 */
public record Binaries(Path directory) {

    private static final class Found {
        static final Binaries INSTANCE = new Binaries(Path.of(run("tools/kubernetes.sh")));
    }

    /** Returns the binaries, compiling what is missing. Found once for each JVM. */
    public static Binaries find() {
        return Found.INSTANCE;
    }

    /** Returns the path of one binary, such as {@code kubelet}. Throws an unchecked exception if it is missing. */
    public Path path(String name) {
        Path path = directory.resolve(name);
        if (!Files.isExecutable(path)) {
            throw new IllegalStateException("no executable " + path + ": run tools/kubernetes.sh");
        }
        return path;
    }

    /** Returns the root of the work tree that this JVM was started in. */
    public static Path workTree() {
        Path start = Path.of("").toAbsolutePath();
        for (Path directory = start; directory != null; directory = directory.getParent()) {
            if (Files.isExecutable(directory.resolve("tools/kubernetes.sh"))) {
                return directory;
            }
        }
        throw new IllegalStateException(
                start + " is not in Torpor's work tree: there is no tools/kubernetes.sh above it");
    }

    private static String run(String script) {
        try {
            Process process = new ProcessBuilder(workTree().resolve(script).toString())
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
