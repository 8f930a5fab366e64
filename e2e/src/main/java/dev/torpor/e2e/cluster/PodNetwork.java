package dev.torpor.e2e.cluster;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.NetworkInterface;
import java.net.SocketException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.ThreadLocalRandom;
import java.util.stream.Stream;

/**
 * A bridge of a node's own, whose address is the node's, and the CNI configuration that attaches pods to it. Pods reach
 * the node and each other, nothing else: no forwarding is switched on, no packet filter is touched.
 */
final class PodNetwork implements AutoCloseable {
    // 198.18.0.0/15 is for tests within one network (RFC 2544), so a machine's own network has none of it.
    private static final String RANGE = "198.18.";
    private static final Path RESULTS = Path.of("/var/lib/cni/results");

    private final String bridge;
    private final String prefix;

    private PodNetwork(String bridge, String prefix) {
        this.bridge = bridge;
        this.prefix = prefix;
    }

    /** Creates the bridge with an address of a network that no interface is in. */
    static PodNetwork create() {
        ThreadLocalRandom random = ThreadLocalRandom.current();
        String prefix;
        do {
            prefix = RANGE + random.nextInt(256) + ".";
        } while (isUsed(prefix));
        // At most 15 characters.
        PodNetwork network = new PodNetwork("torpor%06x".formatted(random.nextInt(1 << 24)), prefix);
        Command.run("ip", "link", "add", network.bridge, "type", "bridge");
        Command.run("ip", "address", "add", network.nodeAddress() + "/24", "dev", network.bridge);
        Command.run("ip", "link", "set", network.bridge, "up");
        return network;
    }

    /** Returns the name of the bridge. */
    String bridge() {
        return bridge;
    }

    /** Returns the address of the bridge: the node's. */
    String nodeAddress() {
        return prefix + "1";
    }

    /**
     * Writes the CNI configuration.
     *
     * @param directory where the runtime looks for it
     * @param state where the addresses in use are noted
     */
    void configure(Path directory, Path state) throws IOException {
        Files.createDirectories(directory);
        Files.writeString(directory.resolve("10-torpor.conflist"), """
                {
                  "cniVersion": "0.4.0",
                  "name": "%1$s",
                  "plugins": [
                    {
                      "type": "bridge",
                      "bridge": "%1$s",
                      "ipam": {
                        "type": "host-local",
                        "dataDir": "%2$s",
                        "ranges": [[{"subnet": "%3$s0/24"}]]
                      }
                    }
                  ]
                }
                """.formatted(bridge, state, prefix));
    }

    /** Removes the bridge. */
    @Override
    public void close() {
        Command.tryRun("ip", "link", "delete", bridge);
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
            String name = ours.getFileName().toString();
            if (!name.startsWith(bridge + "-")) {
                continue;
            }
            String pod = name.substring(bridge.length(), name.lastIndexOf('-') + 1);
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
