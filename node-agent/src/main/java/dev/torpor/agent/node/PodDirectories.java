package dev.torpor.agent.node;

import dev.torpor.agent.linux.Directory;
import java.io.IOException;
import java.nio.file.Path;
import java.util.regex.Pattern;

/**
 * The kubelet's directories of pods. Below the kubelet's root every step is by a single name and follows no link; only the
 * last, the volume, may be a mount (an emptyDir in memory is one).
 */
public final class PodDirectories {
    /** Where the containers of a pod see the volume. */
    public static final String PATH_IN_POD = "/run/torpor";

    /** Name of the volume. */
    public static final String VOLUME = "torpor";

    private static final Pattern UID = Pattern.compile("[0-9a-zA-Z-]{1,64}");

    private final Path kubeletRoot;

    /**
     * Takes note of where the kubelet keeps its files.
     *
     * @param kubeletRoot usually {@code /var/lib/kubelet}
     */
    public PodDirectories(Path kubeletRoot) {
        this.kubeletRoot = kubeletRoot;
    }

    /**
     * Opens a pod's volume that is shared with the launcher.
     *
     * @return for the caller to close
     * @throws IOException if it is not there (any more), or something along the way is not a directory
     */
    public Directory volume(String podUID) throws IOException {
        try (Directory volumes = volumes(podUID);
                Directory emptyDirs = volumes.child("kubernetes.io~empty-dir")) {
            return emptyDirs.childOrMount(VOLUME);
        }
    }

    /**
     * Opens the directory in which the kubelet has a directory for each kind of a pod's volumes, with one of each volume in it.
     *
     * @return for the caller to close
     * @throws IOException likewise
     */
    Directory volumes(String podUID) throws IOException {
        if (!UID.matcher(podUID).matches()) {
            throw new IOException("'" + podUID + "' cannot be the UID of a pod");
        }
        try (Directory root = Directory.open(kubeletRoot);
                Directory pods = root.childOrMount("pods");
                Directory pod = pods.child(podUID)) {
            return pod.child("volumes");
        }
    }
}
