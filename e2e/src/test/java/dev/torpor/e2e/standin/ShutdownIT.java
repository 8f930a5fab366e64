package dev.torpor.e2e.standin;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.e2e.cluster.StandInPod;
import dev.torpor.e2e.guest.Tick;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * The node goes into maintenance with a VM that cannot be saved, and the class says what becomes of it then. The tests' guest takes
 * no notice of its power button; where one is to, its QEMU is ended for it.
 */
@Tag("standin")
class ShutdownIT {
    // QEMU refuses to migrate it.
    private static final String[] BLOCKED = {
        "-drive", "if=none,id=d0,file=null-co://,format=raw", "-device", "nvme,drive=d0,serial=x"
    };

    private static final String REMOVAL = "ToBeDeletedByClusterAutoscaler";

    @SuppressWarnings("NullAway.Init")
    private static StandInCluster cluster;

    @BeforeAll
    static void start() throws Exception {
        cluster = StandInCluster.withWebhook();
        onSaveFailure("Shutdown");
    }

    private static void onSaveFailure(String policy) {
        cluster.controlPlane.kubectl().runWithInput("""
                {"apiVersion": "torpor.dev/v1alpha1", "kind": "VMSnapshotClass", "metadata": {"name": "polite",
                 "annotations": {"torpor.dev/is-default-class": "true"}}, "spec": {"onSaveFailure": "%s", "onNodeRemoval": "Shutdown"}}
                """.formatted(policy), "apply", "-f", "-");
    }

    @AfterAll
    static void stop() {
        cluster.close();
    }

    @Test
    void aGuestThatShutsDownDoesNotBootAgainBeforeItsPodIsGone() throws Exception {
        StandInPod pod = cluster.startVm("polite", 60L, BLOCKED);
        String uid = pod.uid();
        try {
            maintain("yes");
            awaitShutDown("polite", "Asked");
            pod.killContainer();

            cluster.awaitPodGone("polite");
            assertThat(pod.uid()).isEqualTo(uid);
            assertThat(pod.nonces()).hasSize(1);
            assertThat(shutDown("polite")).isEqualTo("Ended");
        } finally {
            maintain("false");
        }
    }

    @Test
    void aGuestThatTakesNoNoticeRunsOnAndItsDrainBlocks() throws Exception {
        StandInPod pod = cluster.startVm("stubborn", 2L, BLOCKED);
        Tick before = pod.lastTick().orElseThrow();
        try {
            maintain("yes");
            awaitShutDown("stubborn", "TimedOut");

            StandInCluster.awaitGoingOn(pod, before);
            assertThat(pod.starts()).isEqualTo(1);
            awaitEvent("It was to be shut down: the guest did not shut down within 2 s, and runs on.");
            // It may die and boot again, as any VM that runs.
            pod.killContainer();
            pod.awaitTick(tick -> !tick.nonce().equals(before.nonce()));
        } finally {
            maintain("false");
            cluster.deletePod("stubborn");
        }
    }

    @Test
    void aVmThatCannotBeSavedIsDeletedOnlyWhereTheClassSaysSoAndItsLossIsTold() throws Exception {
        onSaveFailure("Block");
        StandInPod pod = cluster.startVm("lost", 60L, BLOCKED);
        Tick before = pod.lastTick().orElseThrow();
        try {
            maintain("yes");
            awaitEvent("torpor: blocked: VM lost cannot be saved, and runs on: MigrationBlocked:");
            StandInCluster.awaitGoingOn(pod, before);
            assertThat(cluster.evict("lost")).contains("torpor: blocked: VM lost cannot be saved, and runs on");

            onSaveFailure("Delete");
            cluster.awaitPodGone("lost");
            assertThat(pod.starts()).isEqualTo(1);
            awaitEvent("MemoryLost");
            awaitEvent(
                    "onSaveFailure: Delete: pod lost is being deleted, its memory is lost. It was MigrationBlocked:");
        } finally {
            maintain("false");
            onSaveFailure("Shutdown");
        }
    }

    @Test
    void aVmOfANodeThatIsDeletedIsShutDownAndNeverSaved() throws Exception {
        StandInPod pod = cluster.startVm("leaving", 60L);
        cluster.controlPlane.kubectl("taint", "node", StandInCluster.NODE, REMOVAL + "=1:NoSchedule");
        try {
            maintain("yes");
            awaitShutDown("leaving", "Asked");
            pod.killContainer();

            cluster.awaitPodGone("leaving");
            assertThat(pod.nonces()).as("no boot in between").hasSize(1);
            await("its order is over").atMost(StandInCluster.PATIENCE).untilAsserted(() -> assertThat(cluster.client
                            .resources(VMSnapshot.class)
                            .inNamespace(cluster.namespace)
                            .list()
                            .getItems())
                    .filteredOn(save -> "leaving".equals(save.getSpec().vmName()))
                    .singleElement()
                    .satisfies(order -> {
                        assertThat(order.getStatus().getPhase()).isEqualTo(SnapshotPhase.Cancelled);
                        assertThat(order.getStatus().getImage()).isNull();
                        assertThat(order.getStatus().getProgress()).isNull();
                    }));
        } finally {
            maintain("false");
            cluster.controlPlane.kubectl("taint", "node", StandInCluster.NODE, REMOVAL + "-");
        }
    }

    private static void awaitEvent(String text) {
        await("people are told").atMost(StandInCluster.PATIENCE).untilAsserted(() -> assertThat(
                        cluster.controlPlane.kubectl("get", "events", "-n", cluster.namespace))
                .contains(text));
    }

    private static void maintain(String value) {
        cluster.controlPlane.kubectl(
                "annotate", "--overwrite", "node", StandInCluster.NODE, "torpor.dev/maintenance=" + value);
    }

    private static void awaitShutDown(String vm, String reason) {
        await(vm + ": " + reason)
                .atMost(StandInCluster.PATIENCE)
                .untilAsserted(() -> assertThat(shutDown(vm)).as(cluster.logs()).isEqualTo(reason));
    }

    private static @Nullable String shutDown(String vm) {
        return cluster.client.resources(VMSnapshot.class).inNamespace(cluster.namespace).list().getItems().stream()
                .filter(save -> vm.equals(save.getSpec().vmName()) && save.getStatus() != null)
                .map(save -> Conditions.reason(save.getStatus().getConditions(), ConditionType.SHUT_DOWN))
                .filter(Objects::nonNull)
                .findFirst()
                .orElse(null);
    }
}
