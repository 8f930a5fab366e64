package dev.torpor.e2e.cluster;

import dev.torpor.e2e.tree.WorkTree;
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
        static final Binaries INSTANCE = new Binaries(Path.of(WorkTree.run("tools/kubernetes.sh")));
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
}
