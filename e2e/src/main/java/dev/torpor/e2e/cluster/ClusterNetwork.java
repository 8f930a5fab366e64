package dev.torpor.e2e.cluster;

import static org.awaitility.Awaitility.await;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.NetworkInterface;
import java.net.SocketException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;
import java.util.stream.Stream;

/**
 * A network of a cluster's own, as if it were a machine of its own: a network namespace, joined to this machine by one
 * pair of interfaces. What runs in it (API server, kubelet, kube-proxy, pods) has packet filters, routes, ports and
 * network settings that nobody else on the machine sees, and that are gone with it. This machine reaches the node's address;
 * pods reach the node, each other and services, nothing else.
 */
public final class ClusterNetwork implements AutoCloseable {
    // 198.18.0.0/15 is for tests within one network (RFC 2544), so a machine's own network has none of it.
    private static final String LINK_RANGE = "198.18.";
    private static final String POD_RANGE = "198.19.";
    /** The services' addresses, which are no interface's. */
    static final String SERVICE_RANGE = "10.96.0.0/24";

    private static final Duration PATIENCE = Duration.ofSeconds(30);
    private static final Path RESULTS = Path.of("/var/lib/cni/results");

    private final Workspace workspace = Workspace.create("net");
    private final String name;
    private final int number;
    private final Child holder;

    private ClusterNetwork(String name, int number) {
        this.name = name;
        this.number = number;
        // A namespace lives as long as a process in it: nothing is mounted, so nothing can be left.
        this.holder = workspace.start("namespace", Path.of("/usr/bin/unshare"), "--net", "--", "sleep", "infinity");
    }

    /** Creates the namespace and joins it to the machine. */
    static ClusterNetwork create() {
        ThreadLocalRandom random = ThreadLocalRandom.current();
        int number;
        do {
            number = random.nextInt(256);
        } while (isUsed(LINK_RANGE + number + "."));
        // At most 15 characters.
        ClusterNetwork network = new ClusterNetwork("torpor%06x".formatted(random.nextInt(1 << 24)), number);
        try {
            network.join();
            return network;
        } catch (RuntimeException e) {
            network.close();
            throw e;
        }
    }

    private void join() {
        await("a network namespace")
                .atMost(PATIENCE)
                .pollInterval(Duration.ofMillis(10))
                .until(() -> {
                    holder.requireAlive();
                    return !namespaceOf(Long.toString(holder.process().pid())).equals(namespaceOf("self"));
                });
        String pid = Long.toString(holder.process().pid());
        Command.run("ip", "link", "add", name, "type", "veth", "peer", "name", "node", "netns", pid);
        Command.run("ip", "address", "add", LINK_RANGE + number + ".1/30", "dev", name);
        Command.run("ip", "link", "set", name, "up");
        runInside("ip", "address", "add", nodeAddress() + "/30", "dev", "node");
        runInside("ip", "link", "set", "node", "up");
        runInside("ip", "link", "set", "lo", "up");
        // Where to does not matter, as kube-proxy's rules change it; but without a route nothing is sent.
        runInside("ip", "route", "add", SERVICE_RANGE, "dev", "node");
    }

    private static Path namespaceOf(String pid) throws IOException {
        return Files.readSymbolicLink(Path.of("/proc", pid, "ns/net"));
    }

    /** Returns a name that nothing else on the machine has: that of the interface which leads here. */
    String name() {
        return name;
    }

    /** Returns the address of the node, from here, from pods and from itself. */
    public String nodeAddress() {
        return LINK_RANGE + number + ".2";
    }

    /** Returns the range of the pods' addresses. */
    String podRange() {
        return POD_RANGE + number + ".0/24";
    }

    /** Starts a process in this network, with its log in the workspace. */
    Child start(Workspace owner, String process, Path program, String... arguments) {
        return start(owner, process, Map.of(), program, arguments);
    }

    /** The same, with variables on top of this JVM's. */
    Child start(Workspace owner, String process, Map<String, String> environment, Path program, String... arguments) {
        List<String> command = inside(program.toString(), arguments);
        return owner.start(
                process,
                environment,
                Path.of(command.getFirst()),
                command.subList(1, command.size()).toArray(String[]::new));
    }

    /** Runs a program in this network, which must succeed, and returns its output. */
    public String runInside(String program, String... arguments) {
        return Command.run(inside(program, arguments).toArray(String[]::new));
    }

    private List<String> inside(String program, String... arguments) {
        List<String> command = new ArrayList<>(
                List.of("/usr/bin/nsenter", "--net=/proc/" + holder.process().pid() + "/ns/net", "--", program));
        command.addAll(List.of(arguments));
        return command;
    }

    /**
     * Writes the CNI configuration: a pair of interfaces for each pod, routed and not bridged, so that all that pods send
     * passes the node's packet filter.
     *
     * @param directory where the runtime looks for it
     * @param state where the addresses in use are noted
     */
    void configure(Path directory, Path state) throws IOException {
        Files.createDirectories(directory);
        Files.writeString(directory.resolve("10-torpor.conflist"), """
                {
                  "cniVersion": "0.4.0",
                  "name": "%s",
                  "plugins": [
                    {
                      "type": "ptp",
                      "ipam": {
                        "type": "host-local",
                        "dataDir": "%s",
                        "ranges": [[{"subnet": "%s"}]],
                        "routes": [{"dst": "0.0.0.0/0"}]
                      }
                    }
                  ]
                }
                """.formatted(name, state, podRange()));
    }

    /** Removes the namespace with all that is in it. */
    @Override
    public void close() {
        Command.tryRun("ip", "link", "delete", name);
        workspace.close();
        // libcni notes results in a folder that containerd can't be told; those of pods that were killed are left
        // there.
        if (Files.isDirectory(RESULTS)) {
            try {
                deleteResults();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }

    /** Those of our network, called {@code <network>-<pod>-<interface>}, and of their pods' loopback interfaces. */
    private void deleteResults() throws IOException {
        List<Path> results;
        try (Stream<Path> files = Files.list(RESULTS)) {
            results = files.toList();
        }
        for (Path ours : results) {
            String file = ours.getFileName().toString();
            if (!file.startsWith(name + "-")) {
                continue;
            }
            String pod = file.substring(name.length(), file.lastIndexOf('-') + 1);
            for (Path result : results) {
                if (result.getFileName().toString().contains(pod)) {
                    Files.deleteIfExists(result);
                }
            }
        }
    }

    private static boolean isUsed(String prefix) {
        try {
            return NetworkInterface.networkInterfaces()
                    .flatMap(NetworkInterface::inetAddresses)
                    .map(InetAddress::getHostAddress)
                    .anyMatch(address -> address.startsWith(prefix));
        } catch (SocketException e) {
            throw new UncheckedIOException(e);
        }
    }
}
