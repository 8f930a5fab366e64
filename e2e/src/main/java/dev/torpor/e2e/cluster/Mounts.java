package dev.torpor.e2e.cluster;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Mount points of this machine, from {@code /proc/self/mounts}. */
public final class Mounts {
    private static final Path TABLE = Path.of("/proc/self/mounts");

    private Mounts() {}

    /** Returns the mount points in a directory and below, in the order in which they were mounted. */
    public static List<Path> below(Path directory) {
        return all().stream().filter(point -> point.startsWith(directory)).toList();
    }

    /**
     * Makes a directory a mount of its own from which containers get what is mounted in it later, as every kubelet's
     * folder is on a machine that systemd has started.
     */
    static void share(Path directory) {
        Command.run("mount", "--bind", directory.toString(), directory.toString());
        Command.run("mount", "--make-shared", directory.toString());
    }

    /** Unmounts what is mounted in a directory and below, also if it is in use. */
    static void unmountBelow(Path directory) {
        for (Path point : below(directory).reversed()) {
            Command.tryRun("umount", "--lazy", point.toString());
        }
    }

    private static List<Path> all() {
        try {
            return Files.readAllLines(TABLE).stream()
                    .map(line -> line.split(" ", 3)[1])
                    .filter(point -> !point.contains("\\")) // Escaped characters: none of ours.
                    .map(Path::of)
                    .toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
