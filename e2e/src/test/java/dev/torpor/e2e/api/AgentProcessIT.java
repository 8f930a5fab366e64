package dev.torpor.e2e.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.status.ApplyStatusWriter;
import dev.torpor.api.status.Conditions;
import dev.torpor.api.status.StatusOwner;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.e2e.cluster.Child;
import dev.torpor.e2e.cluster.Command;
import dev.torpor.e2e.cluster.ControlPlane;
import dev.torpor.e2e.cluster.FreePorts;
import dev.torpor.e2e.cluster.Helm;
import dev.torpor.e2e.cluster.Workspace;
import io.fabric8.kubernetes.api.model.coordination.v1.Lease;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** The agent's own process with the token of its pod: the rights of the chart are enough for it. */
@Tag("api")
@ExtendWith(InstalledChartExtension.class)
class AgentProcessIT {
    private static final Duration TIMEOUT = Duration.ofSeconds(60);

    @Test
    void reportsItsStoreWritesStatusAndLetsGo(InstalledChart chart) throws IOException {
        ControlPlane cluster = chart.cluster();
        String namespace = cluster.createNamespace("vms");
        try (Workspace workspace = Workspace.create("agent")) {
            Files.createDirectories(workspace.file("kubelet/pods"));
            Child process = start(chart, workspace);
            OperatorScene scene = new OperatorScene(cluster, namespace);
            String storeID = awaitLease(cluster, workspace.file("store"));

            VMSnapshot created = scene.create("web-1", OperatorScene.spec("web", SaveMode.Checkpoint, null, 300));
            created.getMetadata().setFinalizers(List.of(Torpor.IMAGE_FINALIZER));
            bind(cluster, cluster.client().resource(created).update(), storeID);
            // There is no such pod, which is what it says.
            scene.awaitSnapshot("web-1", "word of the agent", seen -> Conditions.find(
                            seen.getStatus().getConditions(), ConditionType.SAVED)
                    .isPresent());
            cluster.kubectl("delete", "vmsnapshot", "web-1", "-n", namespace, "--timeout=60s");

            process.requireAlive();
            assertThat(process.logTail(500)).doesNotContainIgnoringCase("forbidden");
        }
    }

    @Test
    void worksBesideObjectsOfANewerOperator(InstalledChart chart) throws IOException {
        ControlPlane cluster = chart.cluster();
        String namespace = cluster.createNamespace("vms");
        VersionSkewIT.applyNewerDefinition(cluster);
        try (Workspace workspace = Workspace.create("agent")) {
            VersionSkewIT.inANewPhase(cluster, namespace, "listed", InstalledChart.NODE_1);
            Files.createDirectories(workspace.file("kubelet/pods"));
            Child process = start(chart, workspace);
            OperatorScene scene = new OperatorScene(cluster, namespace);
            String storeID = awaitLease(cluster, workspace.file("store"));
            for (String name : List.of("first", "second")) {
                VMSnapshot created = scene.create(name, OperatorScene.spec("web", SaveMode.Checkpoint, null, 300));
                bind(cluster, created, storeID);
                scene.awaitSnapshot(name, "word of the agent", seen -> Conditions.find(
                                seen.getStatus().getConditions(), ConditionType.SAVED)
                        .isPresent());
                VersionSkewIT.inANewPhase(cluster, namespace, "watched-after-" + name, InstalledChart.NODE_1);
            }
            process.requireAlive();
        } finally {
            cluster.kubectl("delete", "vmsnapshots", "--all", "-n", namespace, "--timeout=60s");
            cluster.kubectl()
                    .runWithInput(
                            cluster.helm().run("show", "crds", Helm.chart()),
                            "apply",
                            "--server-side",
                            "--force-conflicts",
                            "-f",
                            "-");
        }
    }

    /** The directory is there, as it is below every mount point, and in it what the kubelet makes for a VM's pod. */
    @Test
    void waitsForTheDiskOfItsStoreAndTakesItWhenItIsMounted(InstalledChart chart) throws Exception {
        int port = FreePorts.take();
        try (Workspace workspace = Workspace.create("agent")) {
            Files.createDirectories(workspace.file("kubelet/pods"));
            Path store = workspace.file("store");
            Files.createDirectories(store.resolve("images/vms/web"));
            Child process = start(chart, workspace, "--existing-store", "--http-port=" + port);
            await("readiness").atMost(TIMEOUT).ignoreExceptions().untilAsserted(() -> {
                HttpResponse<String> ready = get(port, "/readyz");
                assertThat(ready.statusCode()).isEqualTo(503);
                assertThat(ready.body())
                        .isEqualTo(
                                "store: StoreFailed: there is no image store in %1$s: its disk is not mounted, or new; in that case make an empty file %1$s/create-store\n",
                                store);
            });
            assertThat(get(port, "/livez").statusCode()).isEqualTo(200);
            assertThat(store.toFile().list()).containsExactly("images");

            Command.run("mount", "-t", "tmpfs", "torpor-test", store.toString());
            try {
                Files.createFile(store.resolve("create-store"));
                awaitLease(chart.cluster(), store);
                assertThat(store.resolve("create-store")).doesNotExist();
                await("readiness").atMost(TIMEOUT).ignoreExceptions().untilAsserted(() -> assertThat(
                                get(port, "/readyz").body())
                        .contains("store: ok", "lease: ok"));
                process.requireAlive();
                process.close();
            } finally {
                Command.run("umount", "--lazy", store.toString());
            }
            assertThat(store.toFile().list()).as("below the mount").containsExactly("images");
        }
    }

    private static HttpResponse<String> get(int port, String path) throws IOException, InterruptedException {
        try (HttpClient client = HttpClient.newHttpClient()) {
            return client.send(
                    HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + path))
                            .build(),
                    HttpResponse.BodyHandlers.ofString());
        }
    }

    // It has no place to write to but its store, as in a container with a read-only root file system.
    private static Child start(InstalledChart chart, Workspace workspace, String... more) {
        List<String> arguments = new ArrayList<>(List.of(
                "-Xmx128m",
                "--enable-native-access=ALL-UNNAMED",
                "-Djava.io.tmpdir=/nonexistent",
                "-cp",
                System.getProperty("java.class.path"),
                "dev.torpor.agent.cli.TorporAgent",
                "run",
                "--node=" + InstalledChart.NODE_1,
                "--store=" + workspace.file("store"),
                "--kubelet-root=" + workspace.file("kubelet"),
                "--lease-namespace=" + InstalledChart.NAMESPACE));
        arguments.addAll(List.of(more));
        return workspace.start(
                "agent",
                Map.of("KUBECONFIG", chart.agentOf(InstalledChart.NODE_1).toString()),
                Path.of(System.getProperty("java.home"), "bin", "java"),
                arguments.toArray(String[]::new));
    }

    /** Waits until the Lease names the store in a directory, and returns its identity. */
    private static String awaitLease(ControlPlane cluster, Path store) {
        return await("lease")
                .atMost(TIMEOUT)
                .until(
                        () -> storeID(cluster),
                        id -> !id.isEmpty() && identity(store).contains(id));
    }

    private static String identity(Path store) {
        Path file = store.resolve("store.json");
        try {
            return Files.exists(file) ? Files.readString(file) : "";
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static String storeID(ControlPlane cluster) {
        Lease lease = cluster.client()
                .leases()
                .inNamespace(InstalledChart.NAMESPACE)
                .withName(Torpor.LEASE_PREFIX + InstalledChart.NODE_1)
                .get();
        return lease == null || lease.getMetadata().getAnnotations() == null
                ? ""
                : Objects.requireNonNullElse(
                        lease.getMetadata().getAnnotations().get(Torpor.STORE_ID_ANNOTATION), "");
    }

    private static void bind(ControlPlane cluster, VMSnapshot snapshot, String storeID) {
        VMSnapshotStatus own = new VMSnapshotStatus();
        own.setObservedGeneration(1L);
        own.setPhase(SnapshotPhase.Bound);
        own.setNodeName(InstalledChart.NODE_1);
        own.setStoreID(storeID);
        own.setPod(new ObjectName("web", "00000000-0000-0000-0000-000000000000"));
        own.setConditions(List.of(Conditions.next(
                null, ConditionType.READY, false, "Bound", "", 1L, Instant.parse("2026-01-02T03:04:05Z"))));
        var _ = new ApplyStatusWriter(cluster.client()).transition(StatusOwner.SNAPSHOT_OPERATOR, snapshot, own);
    }
}
