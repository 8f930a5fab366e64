package dev.torpor.e2e.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.cluster.ControlPlane;
import dev.torpor.e2e.cluster.ControlPlaneExtension;
import dev.torpor.e2e.cluster.Mounts;
import dev.torpor.e2e.cluster.RealNode;
import dev.torpor.e2e.cluster.TestNamespace;
import dev.torpor.e2e.guest.Tick;
import java.io.IOException;
import java.net.NetworkInterface;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** The node that other tests stand on. */
@Tag("node")
@ExtendWith(ControlPlaneExtension.class)
class RealNodeIT {
    private static final Duration PATIENCE = Duration.ofMinutes(2);
    private static final String POD = """
            apiVersion: v1
            kind: Pod
            metadata: {name: vm}
            spec:
              terminationGracePeriodSeconds: 1
              containers:
              - name: qemu
                image: torpor-vm:local
                imagePullPolicy: Never
                command: [qemu-system-x86_64]
                args: [-accel, tcg, -machine, q35, -cpu, max, -m, 256M, -nodefaults, -display, none, -serial, stdio,
                       -kernel, /boot/vmlinuz, -initrd, /boot/initrd.gz, -append, console=ttyS0 quiet]
                volumeMounts: [{name: torpor, mountPath: /run/torpor}]
              volumes:
              - {name: torpor, emptyDir: {}}
            """;

    @Test
    void vmTicksAndNothingIsLeft(ControlPlane cluster, @TestNamespace String namespace) throws IOException {
        Set<String> before = machine();
        Path directory;
        try (RealNode node = RealNode.start(cluster, "real")) {
            directory = node.directory();
            cluster.kubectl().runWithInput(POD, "apply", "-n", namespace, "-f", "-");

            await("ticks in the pod's log").atMost(PATIENCE).untilAsserted(() -> assertThat(ticks(cluster.kubectl()
                            .tryRun("logs", "-n", namespace, "vm")
                            .output()))
                    .hasSizeGreaterThan(2));

            cluster.kubectl("exec", "-n", namespace, "vm", "--", "touch", "/run/torpor/here");
            assertThat(node.kubeletRoot()
                            .resolve("pods")
                            .resolve(uid(cluster, namespace))
                            .resolve("volumes/kubernetes.io~empty-dir/torpor/here"))
                    .exists();
            assertThat(machine()).isNotEqualTo(before);
        }

        assertThat(machine()).isEqualTo(before);
        assertThat(Mounts.below(directory)).isEmpty();
        assertThat(processesOf(directory)).isEmpty();
        assertThat(directory).doesNotExist();
        assertThat(cluster.kubectl("get", "nodes", "-o", "name")).isEmpty();
    }

    private static List<Tick> ticks(String log) {
        return log.lines().map(Tick::parse).flatMap(Optional::stream).toList();
    }

    private static String uid(ControlPlane cluster, String namespace) {
        return cluster.kubectl("get", "pod", "vm", "-n", namespace, "-o", "jsonpath={.metadata.uid}");
    }

    /** Returns what a node adds to the machine: network interfaces, cgroups, links to logs. */
    private static Set<String> machine() throws IOException {
        Set<String> found = NetworkInterface.networkInterfaces()
                .map(NetworkInterface::getName)
                .collect(Collectors.toCollection(TreeSet::new));
        for (String folder : List.of("/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/var/log/containers")) {
            if (Files.isDirectory(Path.of(folder))) {
                try (Stream<Path> entries = Files.list(Path.of(folder))) {
                    entries.map(Path::toString).forEach(found::add);
                }
            }
        }
        return found;
    }

    private static List<String> processesOf(Path directory) {
        return ProcessHandle.allProcesses()
                .flatMap(process -> process.info().commandLine().stream())
                .filter(line -> line.contains(directory.toString()))
                .toList();
    }
}
