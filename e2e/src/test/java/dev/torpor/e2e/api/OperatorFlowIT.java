package dev.torpor.e2e.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.ConsumedBy;
import dev.torpor.api.v1alpha1.DisksPolicy;
import dev.torpor.api.v1alpha1.RestorePhase;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMRestoreSpec;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.e2e.cluster.ControlPlane;
import dev.torpor.e2e.cluster.ControlPlaneExtension;
import dev.torpor.e2e.cluster.TestNamespace;
import io.fabric8.kubernetes.api.model.Pod;
import java.time.Duration;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.extension.ExtendWith;

/** The operator's straight lines on a real API server, with the agent's part played by the test. */
@Tag("api")
@ExtendWith(ControlPlaneExtension.class)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@SuppressWarnings("NullAway.Init")
class OperatorFlowIT {
    private ControlPlane cluster;
    private SimulatedNode node;
    private SimulatedAgent agent;
    private OperatorUnderTest operator;
    private OperatorScene scene;

    @BeforeAll
    void startOperator(ControlPlane cluster) {
        this.cluster = cluster;
        String system = cluster.createNamespace("flow-system");
        node = SimulatedNode.create(cluster, system, "flow-1");
        agent = new SimulatedAgent(cluster.client());
        operator = OperatorUnderTest.start(cluster, system);
    }

    @AfterAll
    void stopOperator() {
        operator.close();
        node.close();
    }

    @BeforeEach
    void scene(@TestNamespace String namespace) {
        scene = new OperatorScene(cluster, namespace);
    }

    @Test
    void saveBindsDeletesThePodAfterwardsAndIsReady() {
        Pod pod = node.runVm(scene.namespace(), "web", "web-pod");
        scene.create("web-1", OperatorScene.save("web"));

        VMSnapshot bound = scene.awaitSnapshot("web-1", SnapshotPhase.Bound);
        assertThat(bound.getStatus().getNodeName()).isEqualTo(node.name());
        assertThat(bound.getStatus().getNodeUID()).isEqualTo(node.uid());
        assertThat(bound.getStatus().getStoreID()).isEqualTo(SimulatedNode.STORE_ID);
        assertThat(bound.getStatus().getPod()).isEqualTo(OperatorScene.nameOf(pod));
        assertThat(bound.getMetadata().getFinalizers()).contains(Torpor.IMAGE_FINALIZER);
        assertThat(bound.getStatus().getObservedGeneration()).isEqualTo(1L);

        agent.saving(bound, 10);
        VMSnapshot saving = scene.awaitSnapshot("web-1", SnapshotPhase.Saving);
        agent.saving(saving, 60);
        assertThat(scene.pod("web-pod").getMetadata().getDeletionTimestamp()).isNull();

        agent.saved(scene.snapshot("web-1"));
        scene.awaitSnapshot("web-1", SnapshotPhase.Saved);
        scene.awaitTerminating(pod);
        assertThat(Conditions.isTrue(scene.snapshot("web-1").getStatus().getConditions(), ConditionType.READY))
                .isFalse();
        node.finishTermination(pod);

        VMSnapshot ready = scene.awaitSnapshot("web-1", SnapshotPhase.Ready);
        assertThat(Conditions.isTrue(ready.getStatus().getConditions(), ConditionType.READY))
                .isTrue();
        assertThat(Conditions.find(ready.getStatus().getConditions(), ConditionType.RECONCILING))
                .isEmpty();
        await().atMost(OperatorScene.TIMEOUT).untilAsserted(() -> assertThat(scene.eventReasons("web-1"))
                .containsExactlyInAnyOrder("Bound", "StoppingVM", "Restorable"));
    }

    @Test
    void restoreRecreatesThePodOnTheNodeOfTheImageAndConsumesIt() {
        VMSnapshot snapshot = scene.readySnapshot(node, agent, "web-1", "web", SaveMode.Save);
        scene.restore("back", "web-1");

        VMRestore checking = scene.awaitRestore("back", RestorePhase.Starting);
        assertThat(checking.getStatus().getNodeName()).isEqualTo(node.name());
        assertThat(checking.getStatus().getSnapshotUID())
                .isEqualTo(snapshot.getMetadata().getUid());
        assertThat(checking.getStatus().getVmName()).isEqualTo("web");
        scene.awaitSnapshot("web-1", SnapshotPhase.Resuming);
        assertThat(scene.pods()).isEmpty();

        agent.imageChecked(checking);
        VMRestore starting =
                scene.awaitRestore("back", "pod", seen -> seen.getStatus().getPod() != null);
        Pod pod = scene.pod("web-pod");
        assertThat(starting.getStatus().getPod()).isEqualTo(OperatorScene.nameOf(pod));
        assertRecreated(pod, starting);

        agent.loading(scene.restore("back"));
        VMRestore loading = scene.awaitRestore("back", RestorePhase.Loading);
        agent.resumed(loading);
        VMRestore running = scene.awaitRestore("back", RestorePhase.Running);
        assertThat(Conditions.isTrue(running.getStatus().getConditions(), ConditionType.READY))
                .isTrue();

        VMSnapshot consumed = scene.awaitSnapshot("web-1", SnapshotPhase.Consumed);
        assertThat(consumed.getStatus().getConsumedBy())
                .isEqualTo(new ConsumedBy("back", "web-pod", pod.getMetadata().getUid(), "2026-01-02T03:05:00Z"));
        assertThat(Conditions.reason(consumed.getStatus().getConditions(), ConditionType.READY))
                .isEqualTo("Consumed");
        assertThat(scene.pod("web-pod").getMetadata().getDeletionTimestamp()).isNull();
    }

    private void assertRecreated(Pod pod, VMRestore restore) {
        assertThat(pod.getMetadata().getAnnotations())
                .containsEntry(Torpor.RESTORE_ANNOTATION, restore.getMetadata().getUid())
                .containsEntry("example.com/kept", "yes");
        assertThat(pod.getMetadata().getLabels()).containsEntry(Torpor.VM_LABEL, "web");
        assertThat(pod.getSpec()
                        .getAffinity()
                        .getNodeAffinity()
                        .getRequiredDuringSchedulingIgnoredDuringExecution()
                        .getNodeSelectorTerms())
                .singleElement()
                .satisfies(term -> assertThat(term.getMatchFields())
                        .singleElement()
                        .satisfies(field -> assertThat(field.getValues()).containsExactly(node.name())));
        assertThat(pod.getSpec().getContainers().getFirst().getArgs()).containsExactly("-m", "512");
        assertThat(pod.getSpec().getVolumes().stream().filter(volume -> volume.getProjected() != null))
                .as("one token volume, made anew")
                .hasSize(1);
    }

    @Test
    void checkpointIsReadyAtOnceAndSurvivesItsRestore() {
        VMSnapshot ready = scene.readySnapshot(node, agent, "web-1", "web", SaveMode.Checkpoint);
        assertThat(scene.pod("web-pod").getMetadata().getDeletionTimestamp()).isNull();
        assertThat(Conditions.find(ready.getStatus().getConditions(), ConditionType.READY)
                        .orElseThrow()
                        .getMessage())
                .isEqualTo("The image of VM web is on node flow-1. The image is safe. The VM carried on.");
        node.finishTermination(scene.pod("web-pod"));

        scene.create("back", new VMRestoreSpec("web-1", null, DisksPolicy.Restored, null, null));
        agent.imageChecked(scene.awaitRestore("back", RestorePhase.Starting));
        scene.awaitRestore("back", "pod", seen -> seen.getStatus().getPod() != null);
        scene.awaitSnapshot("web-1", SnapshotPhase.Resuming);
        agent.resumed(scene.restore("back"));

        scene.awaitRestore("back", RestorePhase.Running);
        scene.awaitSnapshot("web-1", SnapshotPhase.Ready);
    }

    @Test
    void failedRestoreTakesItsPodAwayAndLeavesTheImage() {
        scene.readySnapshot(node, agent, "web-1", "web", SaveMode.Save);
        scene.restore("back", "web-1");
        agent.imageChecked(scene.awaitRestore("back", RestorePhase.Starting));
        scene.awaitRestore("back", "pod", seen -> seen.getStatus().getPod() != null);

        agent.gaveUp(
                scene.restore("back"), "MemorySizeMismatch", "RAM is 1 GiB, the image has 512 MiB. The image is safe.");

        VMRestore failed = scene.awaitRestore("back", RestorePhase.Failed);
        OperatorScene.assertStalled(
                OperatorScene.conditions(failed),
                "MemorySizeMismatch",
                "RAM is 1 GiB, the image has 512 MiB. The image is safe.");
        await().atMost(OperatorScene.TIMEOUT)
                .untilAsserted(() -> assertThat(scene.pods()).isEmpty());
        scene.awaitSnapshot("web-1", SnapshotPhase.Ready);
    }

    @Test
    void sameManifestAppliedAgainChangesNothing() {
        node.runVm(scene.namespace(), "web", "web-pod");
        String manifest = """
                apiVersion: torpor.dev/v1alpha1
                kind: VMSnapshot
                metadata: {name: web-1, namespace: %s}
                spec: {vmName: web, mode: Checkpoint}
                """.formatted(scene.namespace());
        cluster.kubectl().runWithInput(manifest, "apply", "-f", "-");
        agent.saved(scene.awaitSnapshot("web-1", SnapshotPhase.Bound));
        String version =
                scene.awaitSnapshot("web-1", SnapshotPhase.Ready).getMetadata().getResourceVersion();

        assertThat(cluster.kubectl().runWithInput(manifest, "apply", "-f", "-")).contains("unchanged");

        await().during(Duration.ofSeconds(2)).atMost(Duration.ofSeconds(10)).untilAsserted(() -> assertThat(
                        scene.snapshot("web-1").getMetadata().getResourceVersion())
                .isEqualTo(version));
    }

    @Test
    void staleImageIsNotReady() {
        scene.readySnapshot(node, agent, "web-1", "web", SaveMode.Save);

        agent.imageIs(scene.snapshot("web-1"), true, "Stale", "VM web has run since.");

        OperatorScene.assertStalled(scene.awaitSnapshotReason("web-1", "Stale"), "Stale", "VM web has run since.");
    }

    @Test
    void secondSnapshotOfTheVmWaitsForTheFirst() {
        node.runVm(scene.namespace(), "web", "web-pod");
        scene.create("web-1", OperatorScene.spec("web", SaveMode.Checkpoint, null, 300));
        scene.awaitSnapshot("web-1", SnapshotPhase.Bound);
        scene.create("web-2", OperatorScene.spec("web", SaveMode.Checkpoint, null, 300));

        OperatorScene.assertInProgress(
                scene.awaitSnapshotReason("web-2", "VMBusy"),
                "VMBusy",
                "VMSnapshot web-1 is at work on VM web. This one waits for its end.");
        agent.saved(scene.snapshot("web-1"));
        scene.awaitSnapshot("web-1", SnapshotPhase.Ready);

        scene.awaitSnapshot("web-2", SnapshotPhase.Bound);
    }

    @Test
    void manySnapshotsAtOnceAreBoundOneAtATime() {
        node.runVm(scene.namespace(), "web", "web-pod");
        for (int i = 0; i < 6; i++) {
            scene.create("web-" + i, OperatorScene.spec("web", SaveMode.Checkpoint, null, 300));
        }
        for (int done = 0; done < 6; done++) {
            VMSnapshot bound = await().atMost(OperatorScene.TIMEOUT).until(this::onlyBound, found -> found != null);
            agent.saved(bound);
            scene.awaitSnapshot(bound.getMetadata().getName(), SnapshotPhase.Ready);
        }
    }

    private @Nullable VMSnapshot onlyBound() {
        var bound =
                cluster.client().resources(VMSnapshot.class).inNamespace(scene.namespace()).list().getItems().stream()
                        .filter(seen ->
                                seen.getStatus() != null && seen.getStatus().getPhase() == SnapshotPhase.Bound)
                        .toList();
        assertThat(bound).hasSizeLessThanOrEqualTo(1);
        return bound.isEmpty() ? null : bound.getFirst();
    }
}
