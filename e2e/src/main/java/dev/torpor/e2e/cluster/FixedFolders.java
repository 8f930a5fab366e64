package dev.torpor.e2e.cluster;

import java.io.IOException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/** Folders that a kubelet and a containerd use whatever their configuration says. */
final class FixedFolders {
    private static final List<Path> ALL = Stream.of(
                    "/run/containerd", "/var/lib/cni", "/var/lib/kubelet", "/var/log/containers")
            .map(Path::of)
            .toList();

    private final List<Path> missing;

    private FixedFolders(List<Path> missing) {
        this.missing = missing;
    }

    /** Notes which of them exist. */
    static FixedFolders remember() {
        return new FixedFolders(ALL.stream().filter(Files::notExists).toList());
    }

    /** Removes those that did not exist, sockets included, except where somebody else has put something by now. */
    void removeNew() throws IOException {
        for (Path folder : missing) {
            if (Files.notExists(folder)) {
                continue;
            }
            List<Path> deepestFirst;
            try (Stream<Path> tree = Files.walk(folder)) {
                deepestFirst = tree.sorted(Comparator.reverseOrder()).toList();
            }
            for (Path path : deepestFirst) {
                removeUnlessUsed(path);
            }
        }
    }

    private static void removeUnlessUsed(Path path) throws IOException {
        if (Files.isRegularFile(path, LinkOption.NOFOLLOW_LINKS)) {
            return;
        }
        try {
            Files.deleteIfExists(path);
        } catch (DirectoryNotEmptyException e) {
            // It is in use.
        }
    }
}
