package dev.torpor.e2e.standin;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.api.v1alpha1.VolumeSnapshotStatus;
import dev.torpor.e2e.cluster.Command;
import dev.torpor.e2e.cluster.StandInPod;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.failure.FailureReason;
import io.fabric8.kubernetes.api.model.GenericKubernetesResource;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;

/** Checkpoints with VolumeSnapshots of a real guest's disk, on a real API server, with a storage that does as it is told. */
@Tag("standin")
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class VolumeSnapshotsIT {
    private static final String WANTED = "volumeSnapshots: {className: csi}";

    @SuppressWarnings("NullAway.Init")
    private static StandInCluster cluster;

    @SuppressWarnings("NullAway.Init")
    private static StandInSnapshotter storage;

    @BeforeAll
    static void start() throws Exception {
        cluster = new StandInCluster();
        storage = new StandInSnapshotter(cluster.client, cluster.namespace);
        startVm("db");
    }

    @AfterAll
    static void stop() {
        cluster.close();
    }

    @Test
    @Order(1)
    void clusterWithoutVolumeSnapshotsIsToldSoBeforeThePause() throws Exception {
        Tick before = cluster.pod("db").lastTick().orElseThrow();
        cluster.snapshot("db-0", "db", "mode: Checkpoint", WANTED);
        VMSnapshotStatus status = cluster.awaitSnapshot(
                        "db-0", seen -> Conditions.isTrue(seen.getConditions(), ConditionType.STALLED))
                .getStatus();
        assertThat(Conditions.reason(status.getConditions(), ConditionType.READY))
                .isEqualTo(FailureReason.VolumeSnapshotsUnavailable.name());
        assertThat(status.getNodeName()).isNull();
        goesOn("db", before);
    }

    @Test
    @Order(2)
    void diskIsCutWhileTheGuestIsPausedAndBothComeBackTogether() throws Exception {
        applyCrd();
        Path disk = disk("db");
        cluster.snapshot("db-1", "db", "mode: Checkpoint", WANTED);
        GenericKubernetesResource cut = awaitCut("db");
        assertThat((String) cut.get("spec", "volumeSnapshotClassName")).isEqualTo("csi");
        assertThat(cut.getMetadata().getOwnerReferences()).singleElement().satisfies(owner -> assertThat(owner.getUid())
                .isEqualTo(cluster.snapshot("db-1").getMetadata().getUid()));

        Tick paused = cluster.pod("db").lastTick().orElseThrow();
        assertThat(cluster.snapshot("db-1").getStatus().getPausedAt()).isNotNull();
        staysPaused("db", paused);
        Path copy = Files.copy(disk, disk.resolveSibling("cut"));
        storage.cut(cut, false);

        VMSnapshotStatus ready = cluster.awaitReady("db-1").getStatus();
        assertThat(ready.getPausedAt()).isNull();
        assertThat(ready.getVolumeSnapshots()).singleElement().satisfies(one -> {
            assertThat(one.claimName()).isEqualTo("db");
            assertThat(one.name()).isEqualTo(cut.getMetadata().getName());
            assertThat(one.creationTime()).isNotNull();
            assertThat(one.readyToUse()).isFalse();
        });
        goesOn("db", paused);
        storage.cut(cut, true);
        cluster.awaitSnapshot(
                "db-1",
                seen -> Boolean.TRUE.equals(
                        requireNonNull(seen.getVolumeSnapshots()).getFirst().readyToUse()));

        // As a person does: the claim is made again, of what was cut.
        cluster.deletePod("db");
        cluster.deleteClaim("db");
        Files.delete(disk);
        Files.move(copy, disk);
        cluster.createClaim("db", requireNonNull(disk.getParent()));
        cluster.restore("db-back", "db-1", "disks: Restored");
        cluster.awaitRunning("db-back");
        StandInPod back = cluster.pod("db");
        StandInCluster.awaitGoingOn(back, paused);
        Tick first = back.firstTick().orElseThrow();
        assertThat(first.nonce()).isEqualTo(paused.nonce());
        assertThat(first.number()).isEqualTo(paused.number() + 1);
        assertThat(first.disk()).isEqualTo("ok");
    }

    @Test
    @Order(3)
    void cutThatDoesNotComeInTimeFailsTheCheckpointAndTheVmCarriesOn() throws Exception {
        Tick before = startVm("late");
        cluster.snapshot("late-1", "late", "mode: Checkpoint", "volumeSnapshots: {timeoutSeconds: 1}");
        var failure = requireNonNull(cluster.awaitFailure("late-1").getStatus().getFailure());
        assertThat(failure.reason()).isEqualTo(FailureReason.VolumeSnapshotFailed.name());
        assertThat(failure.message())
                .contains("the VolumeSnapshots of late were not cut within 1 s")
                .endsWith("The VM runs.");
        goesOn("late", before);
        awaitNoCut("late");
        assertThat(cluster.snapshot("late-1").getStatus().getPausedAt()).isNull();
        assertThat(cluster.imageFiles()).noneMatch(file -> file.toString().contains("/late/"));
    }

    @Test
    @Order(3)
    void cutThatFailsEndsThePauseAtOnce() throws Exception {
        Tick before = startVm("full");
        cluster.snapshot("full-1", "full", "mode: Checkpoint", "volumeSnapshots: {timeoutSeconds: 3600}");
        GenericKubernetesResource cut = awaitCut("full");
        storage.fail(cut, "the pool is full");
        var failure = requireNonNull(cluster.awaitFailure("full-1").getStatus().getFailure());
        assertThat(failure.reason()).isEqualTo(FailureReason.VolumeSnapshotFailed.name());
        assertThat(failure.message())
                .contains("VolumeSnapshot " + cut.getMetadata().getName() + " of claim full failed: the pool is full")
                .endsWith("The VM runs.");
        goesOn("full", before);
        awaitNoCut("full");
    }

    @Test
    @Order(4)
    void agentThatDiesInThePauseLeavesTheVmRunningAndNoCutOfThatPauseIsUsed() throws Exception {
        Tick before = startVm("mail");
        cluster.restartAgent("after SAVE_WRITE");
        cluster.snapshot("mail-1", "mail", "mode: Checkpoint", "volumeSnapshots: {}");
        cluster.awaitAgentDeath();
        GenericKubernetesResource first = awaitCut("mail");
        storage.cut(first, true);
        cluster.restartAgent("never");

        goesOn("mail", before);
        GenericKubernetesResource second = await("a cut of the next pause")
                .atMost(StandInCluster.PATIENCE)
                .until(() -> storage.of("mail"), cuts -> cuts.stream().anyMatch(cut -> !sameName(cut, first)))
                .stream()
                .filter(cut -> !sameName(cut, first))
                .findFirst()
                .orElseThrow();
        Tick paused = cluster.pod("mail").lastTick().orElseThrow();
        staysPaused("mail", paused);
        storage.cut(second, true);

        assertThat(cluster.awaitReady("mail-1").getStatus().getVolumeSnapshots())
                .extracting(VolumeSnapshotStatus::name)
                .containsExactly(second.getMetadata().getName());
        goesOn("mail", paused);
        await().atMost(StandInCluster.PATIENCE).until(() -> storage.of("mail"), cuts -> cuts.size() == 1);
    }

    private static boolean sameName(GenericKubernetesResource one, GenericKubernetesResource other) {
        return one.getMetadata().getName().equals(other.getMetadata().getName());
    }

    private static Path disk(String vm) {
        return cluster.controlPlane.directory().resolve("volumes").resolve(vm).resolve("disk");
    }

    private static Tick startVm(String name) throws IOException {
        Path disk = disk(name);
        Path folder = Files.createDirectories(requireNonNull(disk.getParent()));
        Command.run("qemu-img", "create", "-q", "-f", "raw", disk.toString(), "16M");
        cluster.createClaim(name, folder);
        StandInPod pod = cluster.startVmWithClaim(name, "-drive", "file=/run/disks/disk,if=virtio,format=raw");
        return pod.lastTick().orElseThrow();
    }

    private static void applyCrd() throws IOException {
        try (InputStream crd = requireNonNull(VolumeSnapshotsIT.class.getResourceAsStream("volumesnapshots.yaml"))) {
            cluster.controlPlane
                    .kubectl()
                    .runWithInput(new String(crd.readAllBytes(), StandardCharsets.UTF_8), "apply", "-f", "-");
        }
        cluster.controlPlane.kubectl(
                "wait", "--for=condition=Established", "--timeout=90s", "crd/volumesnapshots.snapshot.storage.k8s.io");
    }

    private static GenericKubernetesResource awaitCut(String claim) {
        return await("a VolumeSnapshot of " + claim)
                .atMost(StandInCluster.PATIENCE)
                .until(() -> storage.of(claim), cuts -> !cuts.isEmpty())
                .getFirst();
    }

    private static void awaitNoCut(String claim) {
        await("no VolumeSnapshot of " + claim)
                .atMost(StandInCluster.PATIENCE)
                .until(() -> storage.of(claim), List::isEmpty);
    }

    /** A guest that ran would tick three times. */
    private static void staysPaused(String vm, Tick last) {
        await().during(Duration.ofSeconds(3))
                .atMost(StandInCluster.PATIENCE)
                .until(() -> cluster.pod(vm).lastTick().orElseThrow().equals(last));
    }

    private static void goesOn(String vm, Tick last) throws IOException {
        var _ = StandInCluster.awaitGoingOn(cluster.pod(vm), last);
    }
}
