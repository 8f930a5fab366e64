package dev.torpor.e2e.standin;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.e2e.cluster.StandInPod;
import dev.torpor.e2e.guest.Tick;
import io.fabric8.kubernetes.api.model.NamespaceBuilder;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;

/** What the API server does not say in time, says twice, or takes back, while an agent is at work. */
@Tag("standin")
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class ApiEdgesIT {
    // About 60 MiB that are not zero: some fifteen seconds.
    private static final String SLOW = "className: slow";
    private static final int LAST = Integer.MAX_VALUE;

    @SuppressWarnings("NullAway.Init")
    private static StandInCluster cluster;

    @BeforeAll
    static void start() throws Exception {
        cluster = new StandInCluster();
        cluster.controlPlane.kubectl().runWithInput("""
                apiVersion: torpor.dev/v1alpha1
                kind: VMSnapshotClass
                metadata: {name: slow}
                spec: {bandwidthBytesPerSecond: 4000000}
                """, "apply", "-f", "-");
    }

    @AfterAll
    static void stop() {
        cluster.close();
    }

    @AfterEach
    void clean() {
        cluster.controlPlane.kubectl(
                "delete", "vmrestores,vmsnapshots", "--all", "-n", cluster.namespace, "--timeout=120s");
        cluster.controlPlane.kubectl("delete", "pods", "--all", "-n", cluster.namespace, "--timeout=120s");
    }

    @Test
    void anApiServerThatHangsAcrossTheCommitKeepsNoCheckpointPausedAndLosesNoImage() throws Exception {
        // Enough that neither is done before both are seen to be written.
        StandInPod web = cluster.startVm("web", 192, 40);
        StandInPod db = cluster.startVm("db", 192, 40);
        cluster.snapshot("point", "web", SLOW, "mode: Checkpoint");
        cluster.snapshot("saved", "db", SLOW, "mode: ManagedSave");
        awaitProgress("point");
        awaitProgress("saved");
        cluster.controlPlane.suspendApiServer();
        Tick point = web.lastTick().orElseThrow();
        Tick saved = db.lastTick().orElseThrow();
        try {
            StandInCluster.awaitGoingOn(web, point);
            await("both were committed, and cannot be told")
                    .atMost(StandInCluster.PATIENCE)
                    .until(() -> unanswered("web") > 0 && unanswered("db") > 0);
            assertThat(db.lastTick()).contains(saved);
        } finally {
            cluster.controlPlane.continueApiServer();
        }

        VMSnapshot ready = cluster.awaitReady("point");
        assertThat(requireNonNull(ready.getStatus()).getPausedSeconds()).isPositive();
        assertThat(web.starts()).isEqualTo(1);
        cluster.awaitSnapshot("saved", status -> status.getConsumedBy() != null);
        StandInCluster.awaitGoingOn(cluster.pod("db"), saved);
    }

    private static long unanswered(String vm) throws Exception {
        return cluster.agentLog().stream()
                .filter(line -> line.contains("of VM " + cluster.namespace + "/" + vm + ": the API server answered"))
                .count();
    }

    @Test
    void aSnapshotThatIsAnotherNodesForAWhileKeepsItsImageAndItsFinalizer() throws Exception {
        cluster.startVm("web", 160, 8);
        cluster.snapshot("point", "web", "mode: Checkpoint");
        cluster.awaitVerified("point");
        List<Path> files = cluster.imageFiles();
        assertThat(files).anyMatch(file -> file.toString().endsWith(".img"));

        // To the agent's watch this is a deletion.
        bind("elsewhere");
        cluster.awaitSnapshot("point", status -> !Conditions.isTrue(status.getConditions(), ConditionType.READY));
        cluster.snapshot("next", "web", "mode: Checkpoint");
        cluster.awaitVerified("next");
        assertThat(cluster.imageFiles()).containsAll(files);
        assertThat(cluster.snapshot("point").getMetadata().getFinalizers()).contains(Torpor.IMAGE_FINALIZER);

        bind(StandInCluster.NODE);
        cluster.awaitReady("point");
    }

    private static void bind(String node) {
        cluster.controlPlane.kubectl(
                "patch",
                "vmsnap",
                "point",
                "-n",
                cluster.namespace,
                "--subresource=status",
                "--type=merge",
                "-p",
                "{\"status\":{\"nodeName\":\"" + node + "\"}}");
    }

    @Test
    void aRestoreThatIsMadeAgainDuringItsLoadResumesTheVmOnce() throws Exception {
        Tick before = cluster.startVm("web", 160, 8).lastTick().orElseThrow();
        cluster.snapshot("s", "web");
        cluster.awaitReady("s");
        cluster.restartAgent("wait before RESTORE_LOAD");
        cluster.restore("back", "s");
        cluster.awaitAgentWaiting();
        String first = cluster.restore("back").getMetadata().getUid();
        cluster.controlPlane.kubectl("delete", "vmrestore", "back", "-n", cluster.namespace, "--timeout=120s");
        cluster.restore("back", "s");
        cluster.letAgentGoOn();

        VMRestore second = cluster.awaitRestore("back", restore -> {
            letAnotherLoadGoOn();
            return Conditions.isTrue(requireNonNull(restore.getStatus()).getConditions(), ConditionType.STALLED)
                    || Conditions.isTrue(restore.getStatus().getConditions(), ConditionType.READY);
        });
        assertThat(second.getMetadata().getUid()).isNotEqualTo(first);
        StandInCluster.awaitGoingOn(cluster.pod("web"), before);
        await().atMost(StandInCluster.PATIENCE).until(() -> cluster.imageFiles().stream()
                .noneMatch(file -> file.toString().endsWith(".img")));
    }

    private static void letAnotherLoadGoOn() {
        try {
            Files.deleteIfExists(cluster.controlPlane.directory().resolve("wait"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** One whose VM waits for its start, one in the middle of its save, one that failed: none of their finalizers is in the way. */
    @Test
    @Order(LAST)
    void aNamespaceIsDeletedWithSnapshotsInAnyState() throws Exception {
        cluster.startVm("web", 160, 8);
        cluster.startVm("db", 160, 8);
        cluster.startVm("mail", 160, 8);
        cluster.snapshot("waits", "web", "mode: ManagedSave", "resume: Manual");
        cluster.awaitReady("waits");
        await("a pod that is held")
                .atMost(StandInCluster.PATIENCE)
                .until(() -> cluster.gates("web"), List.of(Torpor.SAVED_GATE)::equals);
        cluster.snapshot("failed", "mail", SLOW, "deadlineSeconds: 6");
        cluster.awaitFailure("failed");
        cluster.snapshot("middle", "db", SLOW, "mode: ManagedSave");
        awaitProgress("middle");

        cluster.controlPlane.kubectl("delete", "namespace", cluster.namespace, "--timeout=120s");
        assertThat(cluster.imageFiles()).isEmpty();
        cluster.client
                .namespaces()
                .resource(new NamespaceBuilder()
                        .withNewMetadata()
                        .withName(cluster.namespace)
                        .endMetadata()
                        .build())
                .create(); // for what comes after each test
    }

    private static void awaitProgress(String name) {
        cluster.awaitSnapshot(
                name,
                status -> status.getProgress() != null
                        && Objects.requireNonNullElse(status.getProgress().percent(), 0) > 0);
    }
}
