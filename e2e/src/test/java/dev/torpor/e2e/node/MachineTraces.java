package dev.torpor.e2e.node;

import dev.torpor.e2e.cluster.Command;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.NetworkInterface;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * What a node could leave on the machine that it runs on. Those of another node, which lives as long as the test JVM, stay
 * the same meanwhile.
 *
 * @param interfaces names of network interfaces
 * @param cgroups folders at the top of the hierarchy
 * @param filter rules and policies of the packet filter
 * @param deadLogs links to logs of containers of nodes that are not there; those of a node that is, come and go
 */
record MachineTraces(Set<String> interfaces, Set<String> cgroups, String filter, Set<String> deadLogs) {
    private static final Path CONTAINER_LOGS = Path.of("/var/log/containers");

    static MachineTraces look() throws IOException {
        Set<String> cgroups = new TreeSet<>();
        for (String folder : List.of("/sys/fs/cgroup", "/sys/fs/cgroup/memory")) {
            if (Files.isDirectory(Path.of(folder))) {
                try (Stream<Path> entries = Files.list(Path.of(folder))) {
                    entries.map(Path::toString).forEach(cgroups::add);
                }
            }
        }
        return new MachineTraces(
                NetworkInterface.networkInterfaces()
                        .map(NetworkInterface::getName)
                        .collect(Collectors.toCollection(TreeSet::new)),
                cgroups,
                Command.run("iptables-save")
                        .lines()
                        .filter(line -> !line.startsWith("#")) // the time
                        .map(line -> line.replaceAll(" \\[\\d+:\\d+]$", "")) // packets so far
                        .collect(Collectors.joining("\n")),
                deadLogLinks());
    }

    private static Set<String> deadLogLinks() throws IOException {
        if (!Files.isDirectory(CONTAINER_LOGS)) {
            return Set.of();
        }
        try (Stream<Path> links = Files.list(CONTAINER_LOGS)) {
            return links.filter(Files::isSymbolicLink)
                    .filter(MachineTraces::isOfADeadNode)
                    .map(Path::toString)
                    .collect(Collectors.toCollection(TreeSet::new));
        }
    }

    /** A kubelet has all logs in one folder, which goes with it: {@code <folder>/<pod>/<container>/<number>.log}. */
    private static boolean isOfADeadNode(Path link) {
        try {
            return !Files.exists(
                    Files.readSymbolicLink(link).resolveSibling("../..").normalize());
        } catch (NoSuchFileException e) {
            return false; // It went meanwhile.
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
