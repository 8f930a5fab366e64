package dev.torpor.e2e.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.cluster.Command;
import dev.torpor.e2e.cluster.Kubectl;
import dev.torpor.e2e.cluster.Mounts;
import dev.torpor.e2e.cluster.RealCluster;
import dev.torpor.e2e.guest.Tick;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** The cluster that other tests stand on. */
@Tag("node")
class RealNodeIT {
    private static final Duration PATIENCE = Duration.ofMinutes(2);
    private static final String NAMESPACE = "default";
    private static final String VM = """
            apiVersion: v1
            kind: Pod
            metadata: {name: vm, labels: {app: vm}}
            spec:
              terminationGracePeriodSeconds: 1
              containers:
              - name: qemu
                image: torpor-vm:local
                imagePullPolicy: Never
                command: [qemu-system-x86_64]
                args: [-accel, tcg, -machine, q35, -cpu, max, -m, 256M, -nodefaults, -display, none, -serial, stdio,
                       -kernel, /boot/vmlinuz, -initrd, /boot/initrd.gz, -append, console=ttyS0 quiet no_timer_check]
                volumeMounts: [{name: torpor, mountPath: /run/torpor}]
              - name: web
                image: torpor-vm:local
                imagePullPolicy: Never
                command: [httpd, -f, -p, "8080", -h, /boot]
              volumes:
              - {name: torpor, emptyDir: {}}
            ---
            apiVersion: v1
            kind: Service
            metadata: {name: vm}
            spec:
              selector: {app: vm}
              ports: [{port: 80, targetPort: 8080}]
            """;

    /** As on a machine whose container engine forwards nothing for others: Docker sets that policy at its start. */
    @Test
    void vmTicksServicesAnswerAndNothingIsLeft() throws IOException {
        String policy = Command.run("iptables", "-S", "FORWARD")
                .lines()
                .findFirst()
                .orElseThrow()
                .split(" ", 3)[2];
        Command.run("iptables", "-P", "FORWARD", "DROP");
        try {
            vmTicksServicesAnswerAndNothingIsLeftAsTheMachineIs();
        } finally {
            Command.run("iptables", "-P", "FORWARD", policy);
        }
    }

    private static void vmTicksServicesAnswerAndNothingIsLeftAsTheMachineIs() throws IOException {
        MachineTraces before = MachineTraces.look();
        assertThat(before.filter()).contains(":FORWARD DROP");
        Path directory;
        try (RealCluster cluster = RealCluster.start("real")) {
            directory = cluster.node().directory();
            Kubectl kubectl = cluster.kubectl();
            cluster.controlPlane().awaitDefaultServiceAccount(NAMESPACE);
            kubectl.runWithInput(VM, "apply", "-f", "-");

            await("ticks in the pod's log").atMost(PATIENCE).untilAsserted(() -> assertThat(
                            ticks(kubectl.tryRun("logs", "vm", "-c", "qemu").output()))
                    .hasSizeGreaterThan(2));

            kubectl.run("exec", "vm", "-c", "qemu", "--", "touch", "/run/torpor/here");
            assertThat(volume(cluster).resolve("here")).exists();
            assertThat(volume(cluster).resolve("qmp.sock").toString())
                    .as("as long as in the field: longer than a socket's address may be")
                    .hasSizeGreaterThan(108);
            podsReachTheApiAndTheApiReachesServices(cluster);
            MachineTraces meanwhile = MachineTraces.look();
            assertThat(meanwhile).isNotEqualTo(before);
            assertThat(meanwhile.filter()).isEqualTo(before.filter());
        }

        assertThat(MachineTraces.look()).isEqualTo(before);
        assertThat(Mounts.below(directory)).isEmpty();
        assertThat(processesOf(directory)).isEmpty();
        assertThat(logLinksInto(directory)).isEmpty();
        assertThat(directory).doesNotExist();
    }

    private static void podsReachTheApiAndTheApiReachesServices(RealCluster cluster) {
        Kubectl kubectl = cluster.kubectl();
        assertThat(kubectl.run(
                        "exec",
                        "vm",
                        "-c",
                        "web",
                        "--",
                        "sh",
                        "-c",
                        "wget -q --no-check-certificate -O - https://$KUBERNETES_SERVICE_HOST/version"))
                .contains("gitVersion");
        String service = kubectl.run("get", "service", "vm", "-o", "jsonpath={.spec.clusterIP}");
        // From where the API server is.
        cluster.network()
                .runInside("/bin/busybox", "wget", "-q", "-O", "/dev/null", "http://" + service + "/initrd.gz");
    }

    private static Path volume(RealCluster cluster) {
        String uid = cluster.kubectl().run("get", "pod", "vm", "-o", "jsonpath={.metadata.uid}");
        return cluster.node()
                .kubeletRoot()
                .resolve("pods")
                .resolve(uid)
                .resolve("volumes/kubernetes.io~empty-dir/torpor");
    }

    private static List<Tick> ticks(String log) {
        return log.lines().map(Tick::parse).flatMap(Optional::stream).toList();
    }

    /** Those of other nodes on the machine come and go. */
    private static List<Path> logLinksInto(Path directory) throws IOException {
        Path folder = Path.of("/var/log/containers");
        if (!Files.isDirectory(folder)) {
            return List.of();
        }
        List<Path> found = new ArrayList<>();
        try (Stream<Path> links = Files.list(folder)) {
            for (Path link : links.filter(Files::isSymbolicLink).toList()) {
                if (leadsInto(directory, link)) {
                    found.add(link);
                }
            }
        }
        return found;
    }

    private static boolean leadsInto(Path directory, Path link) throws IOException {
        try {
            return Files.readSymbolicLink(link).startsWith(directory);
        } catch (NoSuchFileException e) {
            return false;
        }
    }

    private static List<String> processesOf(Path directory) {
        return ProcessHandle.allProcesses()
                .flatMap(process -> process.info().commandLine().stream())
                .filter(line -> line.contains(directory.toString()))
                .toList();
    }
}
