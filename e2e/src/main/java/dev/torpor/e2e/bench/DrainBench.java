package dev.torpor.e2e.bench;

import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import dev.torpor.agent.image.ImageHeader;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.e2e.cluster.Child;
import dev.torpor.e2e.cluster.ControlPlane;
import dev.torpor.e2e.cluster.FreePorts;
import dev.torpor.e2e.cluster.StandInNode;
import dev.torpor.failure.TorporException;
import io.fabric8.kubernetes.api.model.NodeBuilder;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.informers.ResourceEventHandler;
import io.fabric8.kubernetes.client.informers.SharedIndexInformer;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * The drain of several nodes at once: how long it takes until all of their VMs are saved, and until their pods are gone,
 * beside what the same disk takes for as many bytes, written by fio and by QEMU driven by hand, before and after. The nodes are
 * stand-ins on one machine and share its disk; agents, operator, API server and QEMUs are real. All VMs have the same random
 * memory, which they map privately, so that it is in the machine once and in each image.
 *
 * <p>All of it is done twice: with the disk as it is, and with a disk that the kernel holds to a rate ({@link DiskLimit}), so that
 * the disk is the limit and not the processors, which all nodes share here.
 *
 * <p>Settings from the environment: TORPOR_BENCH_VMS (10), TORPOR_BENCH_NODES (2), TORPOR_BENCH_MIB (3072; of each VM),
 * TORPOR_BENCH_DIR (a folder on the disk to measure; default below {@code target}), TORPOR_BENCH_REST_SECONDS (15; before the
 * drain), TORPOR_BENCH_DISK_MBPS (400, in units of 10^6; 0 leaves the second out). Needs root.
 */
public final class DrainBench {
    private static final Duration PATIENCE = Duration.ofMinutes(10);
    private static final Duration POLL = Duration.ofMillis(50);
    private static final int CHANNELS = 2;
    private static final int REFERENCES = 3;
    private static final int WARM_UP_ROUNDS = 5;
    private static final int WARM_UP_VMS_OF_A_NODE = 2;
    private static final long WARM_UP_BYTES = 128L << 20;

    private final int vms;
    private final int nodes;
    private final long bytes;
    private final Path directory;
    private final List<Double> fio = new ArrayList<>();
    private final List<Double> hand = new ArrayList<>();

    private DrainBench(int vms, int nodes, long bytes, Path directory) {
        this.vms = vms;
        this.nodes = nodes;
        this.bytes = bytes;
        this.directory = directory;
    }

    /**
     * What was measured.
     *
     * @param diskMegabytesPerSecond what the disk was held to; 0 if it was not
     * @param savedSeconds until the last image was committed and told
     * @param emptySeconds until the last pod was gone
     * @param fioMegabytesPerSecond median of fio's writes
     * @param qemuMegabytesPerSecond median of saves by QEMU alone
     * @param savedOfFio seconds until all were saved, over those that fio takes for as many bytes
     * @param savedOfQemu the same over QEMU alone
     * @param savedOfDisk the same over what as many bytes take at the rate that the disk was held to; 0 if it was not
     */
    public record Result(
            int vms,
            int nodes,
            long bytesOfEach,
            double diskMegabytesPerSecond,
            double savedSeconds,
            double emptySeconds,
            double fioMegabytesPerSecond,
            double qemuMegabytesPerSecond,
            double savedOfFio,
            double savedOfQemu,
            double savedOfDisk) {}

    /** Runs all and prints it; the figures go to {@code target/bench/drain-results.json} below the working directory. */
    public static void main(String[] arguments) throws Exception {
        Path out = Path.of("target", "bench").toAbsolutePath();
        Path directory = Files.createDirectories(
                Path.of(setting("TORPOR_BENCH_DIR", out.resolve("work").toString())));
        long limit = Long.parseLong(setting("TORPOR_BENCH_DISK_MBPS", "400")) * 1_000_000;
        List<Result> results = new ArrayList<>();
        try {
            results.add(bench(directory).run(0));
            deleteTree(directory); // its images, for which there may be no room beside those of the next
            Files.createDirectories(directory);
            if (limit > 0) {
                try (DiskLimit _ = DiskLimit.of(directory, limit)) {
                    results.add(bench(directory).run(limit));
                }
            }
        } finally {
            deleteTree(directory);
        }
        String text =
                new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT).writeValueAsString(results);
        Files.writeString(out.resolve("drain-results.json"), text);
        System.out.println(text);
    }

    private static DrainBench bench(Path directory) throws IOException {
        return new DrainBench(
                Integer.parseInt(setting("TORPOR_BENCH_VMS", "10")),
                Integer.parseInt(setting("TORPOR_BENCH_NODES", "2")),
                Long.parseLong(setting("TORPOR_BENCH_MIB", "3072")) << 20,
                directory.toRealPath());
    }

    private Result run(long limit) throws IOException, InterruptedException, TorporException {
        Path ram = Files.createTempFile(Path.of("/dev/shm"), "torpor-bench-", ".ram");
        try {
            fill(ram);
            reference(ram);
            double[] drained = drain(ram);
            reference(ram);
            double all = (double) vms * bytes;
            double fioRate = bytes / Measurement.median(fio);
            double handRate = bytes / Measurement.median(hand);
            return new Result(
                    vms,
                    nodes,
                    bytes,
                    limit / 1e6,
                    drained[0],
                    drained[1],
                    fioRate / 1e6,
                    handRate / 1e6,
                    drained[0] * fioRate / all,
                    drained[0] * handRate / all,
                    drained[0] * limit / all);
        } finally {
            Files.deleteIfExists(ram);
        }
    }

    /** What the disk does now: one VM's bytes by fio and by QEMU alone, in turn; the first of each is not counted. */
    private void reference(Path ram) throws IOException, TorporException {
        try (BenchVm vm = BenchVm.prefilled(directory, ram, bytes);
                Directory files = Directory.open(directory);
                QmpClient qmp = vm.connect()) {
            for (int round = 0; round <= REFERENCES; round++) {
                double byFio = Fio.write(directory, CHANNELS, bytes);
                Files.deleteIfExists(directory.resolve("fio.img"));
                QemuByHand.forget(files);
                qmp.execute("cont");
                qmp.execute("stop");
                long began = System.nanoTime();
                QemuByHand.save(qmp, files, CHANNELS, ImageHeader.STREAM_OFFSET_BYTES);
                double byHand = (System.nanoTime() - began) / 1e9;
                QemuByHand.forget(files);
                if (round > 0) {
                    fio.add(byFio);
                    hand.add(byHand);
                }
                System.out.printf("%d MiB: fio %.2f s, QEMU alone %.2f s%n", bytes >> 20, byFio, byHand);
            }
        }
    }

    /** Returns the seconds until all are saved, and until all pods are gone. */
    private double[] drain(Path ram) throws IOException, InterruptedException {
        List<AutoCloseable> running = new ArrayList<>();
        try (ControlPlane cluster = ControlPlane.start(ControlPlane.Options.WHOLE)) {
            try {
                cluster.applyCrds();
                cluster.kubectl("create", "namespace", Torpor.SYSTEM_NAMESPACE);
                String namespace = cluster.createNamespace("bench");
                // Nobody asks its webhook here; without one it does not drain.
                running.add(java(
                        cluster,
                        "operator",
                        "dev.torpor.operator.OperatorMain",
                        "--no-leader-election",
                        "--webhook-port",
                        Integer.toString(FreePorts.take()),
                        "--launcher-image",
                        "torpor-launcher:local"));
                List<StandInNode> all = new ArrayList<>();
                for (int n = 0; n < nodes; n++) {
                    StandInNode node = StandInNode.start(cluster, "n" + n);
                    all.add(node);
                    running.add(node);
                    running.add(java(
                            cluster,
                            "agent-" + n,
                            "dev.torpor.agent.cli.TorporAgent",
                            "run",
                            "--node=" + node.name(),
                            "--store=" + directory.resolve("store-" + n),
                            "--kubelet-root=" + node.kubeletRoot()));
                }
                warmUp(cluster, all, ram);
                start(cluster.client(), namespace, all, vms, ram, bytes);
                return measure(cluster.client(), namespace, all);
            } finally {
                close(running);
            }
        }
    }

    /**
     * Operator and agents save small VMs first, of which nothing stays: in the field they have been at work for weeks. Here
     * their first saves would be made by code that is only being loaded.
     */
    private void warmUp(ControlPlane cluster, List<StandInNode> all, Path ram) {
        String namespace = cluster.createNamespace("warm");
        int count = WARM_UP_VMS_OF_A_NODE * nodes;
        start(cluster.client(), namespace, all, count, ram, WARM_UP_BYTES);
        for (int round = 1; round <= WARM_UP_ROUNDS; round++) {
            String mode = round < WARM_UP_ROUNDS ? "Checkpoint" : "Save";
            for (int i = 0; i < count; i++) {
                cluster.kubectl().runWithInput("""
                        apiVersion: torpor.dev/v1alpha1
                        kind: VMSnapshot
                        metadata: {name: vm-%1$d-%2$d, namespace: %3$s}
                        spec: {vmName: vm-%1$d, mode: %4$s}
                        """.formatted(i, round, namespace, mode), "create", "-f", "-");
            }
            cluster.kubectl(
                    "wait", "--for=condition=Verified", "vmsnapshots", "--all", "-n", namespace, "--timeout=10m");
        }
        cluster.kubectl("delete", "vmsnapshots", "--all", "-n", namespace, "--timeout=10m");
    }

    private static void start(
            KubernetesClient client, String namespace, List<StandInNode> all, int count, Path ram, long bytes) {
        for (int i = 0; i < count; i++) {
            String name = "vm-" + i;
            StandInNode node = all.get(i % all.size());
            client.resource(new PodBuilder()
                            .withNewMetadata()
                            .withName(name)
                            .withNamespace(namespace)
                            .addToLabels(Torpor.VM_LABEL, name)
                            .endMetadata()
                            .withNewSpec()
                            .withNodeName(node.name())
                            .withTerminationGracePeriodSeconds(1L)
                            .withAutomountServiceAccountToken(false)
                            .addNewInitContainer()
                            .withName("torpor-launcher")
                            .withImage("torpor-launcher:local")
                            .addNewVolumeMount()
                            .withName("torpor")
                            .withMountPath("/run/torpor")
                            .endVolumeMount()
                            .endInitContainer()
                            .addNewContainer()
                            .withName("qemu")
                            .withImage("torpor-vm:local")
                            .withCommand("/run/torpor/bin/launch", "--", "qemu-system-x86_64")
                            .withArgs(
                                    "-accel",
                                    "tcg",
                                    "-machine",
                                    "q35,memory-backend=pc.ram",
                                    "-m",
                                    (bytes >> 20) + "M",
                                    "-object",
                                    "memory-backend-file,id=pc.ram,share=off,mem-path=" + ram + ",size=" + bytes,
                                    "-nodefaults",
                                    "-display",
                                    "none")
                            .addNewVolumeMount()
                            .withName("torpor")
                            .withMountPath("/run/torpor")
                            .endVolumeMount()
                            .endContainer()
                            .addNewVolume()
                            .withName("torpor")
                            .withNewEmptyDir()
                            .endEmptyDir()
                            .endVolume()
                            .endSpec()
                            .build())
                    .create();
        }
        for (int i = 0; i < count; i++) {
            String name = "vm-" + i;
            StandInNode node = all.get(i % all.size());
            await("QEMU of " + name)
                    .atMost(PATIENCE)
                    .ignoreExceptions()
                    .until(() -> Files.exists(node.pod(namespace, name).volume().resolve("qmp.sock")));
        }
    }

    private double[] measure(KubernetesClient client, String namespace, List<StandInNode> all)
            throws InterruptedException {
        // What processes do when they have just begun is not what a node's agent does.
        Thread.sleep(Duration.ofSeconds(Long.parseLong(setting("TORPOR_BENCH_REST_SECONDS", "15"))));
        // Without its webhook the operator's next pods are not held: they come at once, and wait in their launchers.
        List<String> pods = client.pods().inNamespace(namespace).list().getItems().stream()
                .map(pod -> pod.getMetadata().getUid())
                .toList();
        Set<String> names = ConcurrentHashMap.newKeySet();
        CountDownLatch saves = new CountDownLatch(vms);
        try (SharedIndexInformer<VMSnapshot> _ =
                client.resources(VMSnapshot.class).inNamespace(namespace).inform(new Saves(names, saves))) {
            long began = System.nanoTime();
            for (StandInNode node : all) {
                client.nodes().withName(node.name()).edit(its -> new NodeBuilder(its)
                        .editMetadata()
                        .addToAnnotations(Torpor.MAINTENANCE_ANNOTATION, "true")
                        .endMetadata()
                        .build());
            }
            if (!saves.await(PATIENCE.toSeconds(), TimeUnit.SECONDS)) {
                throw new IllegalStateException("saved: " + names);
            }
            double saved = (System.nanoTime() - began) / 1e9;
            await("all pods gone").atMost(PATIENCE).pollInterval(POLL).until(() -> all.stream()
                    .noneMatch(node -> pods.stream().anyMatch(node::runs)));
            return new double[] {saved, (System.nanoTime() - began) / 1e9};
        }
    }

    /** Counts what is saved as it is told: to ask again and again would take the time that is measured. */
    private record Saves(Set<String> names, CountDownLatch left) implements ResourceEventHandler<VMSnapshot> {
        @Override
        public void onAdd(VMSnapshot snapshot) {
            look(snapshot);
        }

        @Override
        public void onUpdate(VMSnapshot before, VMSnapshot now) {
            look(now);
        }

        @Override
        public void onDelete(VMSnapshot snapshot, boolean unknown) {
            // none is
        }

        private void look(VMSnapshot snapshot) {
            if (snapshot.getStatus() != null
                    && Conditions.isTrue(snapshot.getStatus().getConditions(), ConditionType.SAVED)
                    && names.add(snapshot.getMetadata().getName())) {
                left.countDown();
            }
        }
    }

    private static Child java(ControlPlane cluster, String name, String main, String... arguments) {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin/java").toString(),
                "-Xmx128m",
                // As in the images.
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                System.getProperty("java.class.path"),
                main));
        command.addAll(List.of(arguments));
        return Child.start(
                name,
                cluster.directory().resolve(name + ".log"),
                Map.of("KUBECONFIG", cluster.kubeconfig().toString()),
                command);
    }

    private void fill(Path ram) throws IOException {
        SplittableRandom random = new SplittableRandom(1);
        byte[] block = new byte[1 << 20];
        try (OutputStream out = Files.newOutputStream(ram)) {
            for (long done = 0; done < bytes; done += block.length) {
                random.nextBytes(block);
                out.write(block);
            }
        }
    }

    private static void close(List<AutoCloseable> running) {
        for (AutoCloseable one : running.reversed()) {
            try {
                one.close();
            } catch (Exception e) {
                System.err.println("closing " + one + ": " + e);
            }
        }
    }

    private static String setting(String name, String otherwise) {
        String value = System.getenv(name);
        return value == null || value.isEmpty() ? otherwise : value;
    }

    private static void deleteTree(Path root) throws IOException {
        try (Stream<Path> entries = Files.walk(root)) {
            for (Path entry : entries.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(entry);
            }
        }
    }
}
