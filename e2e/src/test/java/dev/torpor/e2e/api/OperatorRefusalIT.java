package dev.torpor.e2e.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.RestorePhase;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.SourceSpec;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMRestoreSpec;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotSpec;
import dev.torpor.e2e.cluster.ControlPlane;
import dev.torpor.e2e.cluster.ControlPlaneExtension;
import dev.torpor.e2e.cluster.TestNamespace;
import io.fabric8.kubernetes.api.model.ConfigMapBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import java.time.Duration;
import java.time.Instant;
import java.util.Objects;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What the operator refuses, or waits for: exact condition, reason and message of each. */
@Tag("api")
@ExtendWith(ControlPlaneExtension.class)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@SuppressWarnings("NullAway.Init")
class OperatorRefusalIT {
    private ControlPlane cluster;
    private SimulatedNode node;
    private SimulatedAgent agent;
    private OperatorUnderTest operator;
    private OperatorScene scene;

    @BeforeAll
    void startOperator(ControlPlane cluster) {
        this.cluster = cluster;
        String system = cluster.createNamespace("refusal-system");
        node = SimulatedNode.create(cluster, system, "refusal-1");
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
    void vmNotFoundIsWaitedFor() {
        scene.create("web-1", OperatorScene.spec("web", SaveMode.Checkpoint, null, 300));

        OperatorScene.assertInProgress(
                scene.awaitSnapshotReason("web-1", "VMNotFound"),
                "VMNotFound",
                "No live pod in namespace %s has the label torpor.dev/vm=web. Start the VM, or name the right one in a new VMSnapshot."
                        .formatted(scene.namespace()));
        node.runVm(scene.namespace(), "web", "web-pod");
        scene.awaitSnapshot("web-1", SnapshotPhase.Bound);
    }

    @ParameterizedTest
    @EnumSource(
            value = SaveMode.class,
            names = {"Save", "ManagedSave"})
    void aVmThatStartedLaterIsNotStopped(SaveMode mode) {
        scene.create("web-1", OperatorScene.spec("web", mode, null, 300));
        scene.awaitSnapshotReason("web-1", "VMNotFound");
        Instant made = Instant.parse(scene.snapshot("web-1").getMetadata().getCreationTimestamp());
        await("another second") // the API server's times have no parts of one
                .until(() -> Instant.now().isAfter(made.plusSeconds(1)));
        Pod pod = node.runVm(scene.namespace(), "web", "web-pod");

        OperatorScene.assertStalled(
                scene.awaitSnapshotReason("web-1", "OlderThanPod"),
                "OlderThanPod",
                "Pod web-pod of VM web was made at %s, after this VMSnapshot (%s), which would stop it. To save the VM now, make a new VMSnapshot; this one can be deleted. Nothing was done to the VM."
                        .formatted(pod.getMetadata().getCreationTimestamp(), made));
    }

    @Test
    void whatABackupBringsBackIsNotCarriedOutAgainAndHoldsNoVm() {
        Pod pod = node.runVm(scene.namespace(), "web", "web-pod");
        // As Velero leaves objects: no status, the finalizers as they were, its own labels.
        cluster.kubectl().runWithInput("""
                apiVersion: torpor.dev/v1alpha1
                kind: VMSnapshot
                metadata:
                  name: web-1
                  namespace: %1$s
                  labels: {velero.io/backup-name: nightly, velero.io/restore-name: nightly-1}
                  finalizers: [torpor.dev/image]
                spec: {vmName: web, mode: ManagedSave}
                ---
                apiVersion: torpor.dev/v1alpha1
                kind: VMRestore
                metadata:
                  name: back
                  namespace: %1$s
                  labels: {velero.io/backup-name: nightly, velero.io/restore-name: nightly-1}
                spec: {snapshotName: web-1}
                """.formatted(scene.namespace()), "create", "-f", "-");
        OperatorScene.assertStalled(
                scene.awaitSnapshotReason("web-1", "RestoredFromBackup"),
                "RestoredFromBackup",
                "It was restored from a backup, as velero.io/restore-name tells, and is not carried out again: nothing was done to VM web. To save the VM now, make a new VMSnapshot; this one can be deleted.");
        OperatorScene.assertStalled(
                scene.awaitRestoreReason("back", "RestoredFromBackup"),
                "RestoredFromBackup",
                "It was restored from a backup, as velero.io/restore-name tells, and is not carried out again. Make a new VMRestore. The image is safe.");

        // The same with its status, of an object that was about to have its VM's pod deleted.
        cluster.kubectl(
                "patch",
                "vmsnap",
                "web-1",
                "-n",
                scene.namespace(),
                "--subresource=status",
                "--type=merge",
                "-p",
                """
                {"status": {"phase": "Saved", "nodeName": "%s", "nodeUID": "%s", "storeID": "%s",
                 "pod": {"name": "web-pod", "uid": "%s"}, "manifestRevision": "torpor-of-another",
                 "conditions": [{"type": "Saved", "status": "True", "reason": "Committed", "message": "",
                  "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}
                """.formatted(
                                node.name(),
                                node.uid(),
                                SimulatedNode.STORE_ID,
                                pod.getMetadata().getUid()));
        cluster.kubectl(
                "patch",
                "vmrestore",
                "back",
                "-n",
                scene.namespace(),
                "--subresource=status",
                "--type=merge",
                "-p",
                """
                {"status": {"phase": "Starting", "nodeName": "%s", "vmName": "web", "snapshotUID": "another", "conditions": []}}
                """.formatted(node.name()));
        await("an Event").atMost(OperatorScene.TIMEOUT).untilAsserted(() -> assertThat(scene.events("web-1"))
                .anySatisfy(event -> assertThat(event.getMessage())
                        .startsWith("RestoredFromBackup: its status was restored from a backup")));
        assertThat(scene.pod("web-pod").getMetadata().getDeletionTimestamp()).isNull();
        scene.restore("again", "web-1");
        scene.awaitRestore("again", RestorePhase.Failed);
        scene.create("web-2", OperatorScene.spec("web", SaveMode.ManagedSave, null, 300));
        scene.awaitSnapshot("web-2", SnapshotPhase.Bound);
        assertThat(scene.pod("web-pod").getMetadata().getDeletionTimestamp()).isNull();
    }

    @Test
    void twoLivePodsAreWaitedOut() {
        node.runVm(scene.namespace(), "web", "web-a");
        Pod second = node.runVm(scene.namespace(), "web", "web-b");
        scene.create("web-1", OperatorScene.save("web"));

        OperatorScene.assertInProgress(
                scene.awaitSnapshotReason("web-1", "MultipleLivePods"),
                "MultipleLivePods",
                "VM web has 2 live pods: web-a, web-b. A VM is one pod: delete the others. Nothing was done to the VM.");
        node.finishTermination(second);
        scene.awaitSnapshot("web-1", SnapshotPhase.Bound);
    }

    @Test
    void podThatDoesNotRunIsWaitedFor() {
        Pod pod = cluster.client()
                .resource(node.vmPod(scene.namespace(), "web", "web-pod").build())
                .create();
        scene.create("web-1", OperatorScene.save("web"));

        OperatorScene.assertInProgress(
                scene.awaitSnapshotReason("web-1", "VMNotRunning"),
                "VMNotRunning",
                "Container qemu of pod web-pod does not run. See what the pod waits for.");
        node.markRunning(pod);
        scene.awaitSnapshot("web-1", SnapshotPhase.Bound);
    }

    @Test
    void saveOfAControlledPodIsRefusedAndCheckpointIsNot() {
        String owner = cluster.client()
                .resource(new ConfigMapBuilder()
                        .withNewMetadata()
                        .withNamespace(scene.namespace())
                        .withName("controller")
                        .endMetadata()
                        .build())
                .create()
                .getMetadata()
                .getUid();
        node.runVm(scene.namespace(), "web", "web-pod", pod -> pod.editMetadata()
                .addNewOwnerReference()
                .withApiVersion("v1")
                .withKind("ConfigMap")
                .withName("controller")
                .withUid(owner)
                .withController(true)
                .endOwnerReference()
                .endMetadata());
        scene.create("web-1", OperatorScene.save("web"));

        OperatorScene.assertStalled(
                scene.awaitSnapshotReason("web-1", "ControllerWouldRecreate"),
                "ControllerWouldRecreate",
                "Pod web-pod belongs to ConfigMap controller, which would start the VM again as soon as it is saved. Use mode ManagedSave, whose image the next start resumes, or Checkpoint. The VM runs.");
        assertThat(scene.snapshot("web-1").getStatus().getPhase()).isEqualTo(SnapshotPhase.Failed);
        scene.create("web-2", OperatorScene.spec("web", SaveMode.Checkpoint, null, 300));
        scene.awaitSnapshot("web-2", SnapshotPhase.Bound);
    }

    @Test
    void podWithoutTheLauncherIsRefused() {
        node.runVm(scene.namespace(), "web", "web-pod", pod -> pod.editSpec()
                .editContainer(0)
                .withCommand("qemu-system-x86_64")
                .endContainer()
                .endSpec());
        scene.create("web-1", OperatorScene.save("web"));

        OperatorScene.assertStalled(
                scene.awaitSnapshotReason("web-1", "LauncherMissing"),
                "LauncherMissing",
                "Pod web-pod does not start QEMU through the launcher: it lacks exactly one container whose command begins with /run/torpor/bin/launch. Start the VM from a pod that is wired as in the examples. The VM runs.");
    }

    @Test
    void missingClassIsWaitedFor() {
        node.runVm(scene.namespace(), "web", "web-pod");
        scene.create("web-1", OperatorScene.spec("web", SaveMode.Save, "no-such-class", 300));

        OperatorScene.assertInProgress(
                scene.awaitSnapshotReason("web-1", "ClassNotFound"),
                "ClassNotFound",
                "There is no VMSnapshotClass no-such-class. Create it, or leave spec.className out. Nothing was done to the VM.");
    }

    @Test
    void anotherInstanceThanTheMeantOneIsRefused() {
        Pod pod = node.runVm(scene.namespace(), "web", "web-pod");
        scene.create(
                "web-1",
                new VMSnapshotSpec(
                        "web", SaveMode.Save, null, SourceSpec.ofPod("u0"), null, null, null, null, null, null));

        OperatorScene.assertStalled(
                scene.awaitSnapshotReason("web-1", "PodReplaced"),
                "PodReplaced",
                "spec.source.podUID is u0, and the live pod web-pod has UID %s. Make a new VMSnapshot for that one. The VM runs."
                        .formatted(pod.getMetadata().getUid()));
    }

    @Test
    void deadlineEndsTheWaitWithTheLastTrouble() {
        scene.create("web-1", OperatorScene.spec("web", SaveMode.Save, null, 3));

        OperatorScene.assertStalled(
                scene.awaitSnapshotReason("web-1", "DeadlineExceeded"),
                "DeadlineExceeded",
                "Not admitted within 3 s. The last trouble was VMNotFound: No live pod in namespace %s has the label torpor.dev/vm=web. Start the VM, or name the right one, and make a new VMSnapshot: this one saves no VM that started later."
                        .formatted(scene.namespace()));
        assertThat(scene.snapshot("web-1").getStatus().getPhase()).isEqualTo(SnapshotPhase.Failed);
    }

    @Test
    void cancelBeforeBindingIsTheOperatorsAlone() {
        scene.create("web-1", OperatorScene.save("web"));
        scene.awaitSnapshotReason("web-1", "VMNotFound");
        cancel("web-1");

        VMSnapshot cancelled = scene.awaitSnapshot("web-1", SnapshotPhase.Cancelled);
        OperatorScene.assertStalled(
                OperatorScene.conditions(cancelled),
                "Cancelled",
                "Cancelled before the save of VM web began. Nothing was done to the VM.");
        assertThat(cancelled.getStatus().getCancelRequested()).isTrue();
    }

    @Test
    void cancelDuringTheSaveIsLatchedAndEndsWithTheAgentsWord() {
        node.runVm(scene.namespace(), "web", "web-pod");
        scene.create("web-1", OperatorScene.save("web"));
        agent.saving(scene.awaitSnapshot("web-1", SnapshotPhase.Bound), 10);
        scene.awaitSnapshot("web-1", SnapshotPhase.Saving);
        cancel("web-1");
        VMSnapshot latched = scene.awaitSnapshot(
                "web-1", "cancel", seen -> Boolean.TRUE.equals(seen.getStatus().getCancelRequested()));
        assertThat(latched.getStatus().getPhase()).isEqualTo(SnapshotPhase.Saving);

        agent.gaveUp(latched, "Cancelled", "The save of VM web was cancelled. The VM runs.");

        OperatorScene.assertStalled(
                OperatorScene.conditions(scene.awaitSnapshot("web-1", SnapshotPhase.Cancelled)),
                "Cancelled",
                "The save of VM web was cancelled. The VM runs.");
        assertThat(scene.pod("web-pod").getMetadata().getDeletionTimestamp()).isNull();
    }

    @Test
    void troubleAndFailureOfTheAgentAreShown() {
        node.runVm(scene.namespace(), "web", "web-pod");
        scene.create("web-1", OperatorScene.save("web"));
        agent.troubled(
                scene.awaitSnapshot("web-1", SnapshotPhase.Bound), "NotEnoughSpace", "1 GiB is free. The VM runs.");
        OperatorScene.assertInProgress(
                scene.awaitSnapshotReason("web-1", "NotEnoughSpace"), "NotEnoughSpace", "1 GiB is free. The VM runs.");

        agent.gaveUp(
                scene.snapshot("web-1"), "DeadlineExceeded", "Not saved within 300 s: 1 GiB is free. The VM runs.");

        OperatorScene.assertStalled(
                scene.awaitSnapshotReason("web-1", "DeadlineExceeded"),
                "DeadlineExceeded",
                "Not saved within 300 s: 1 GiB is free. The VM runs.");
        await().atMost(OperatorScene.TIMEOUT)
                .untilAsserted(() -> assertThat(scene.eventReasons("web-1")).contains("SaveFailed"));
    }

    @Test
    void deletionBeforeBindingIsAtOnce() {
        scene.create("web-1", OperatorScene.save("web"));
        scene.awaitSnapshotReason("web-1", "VMNotFound");

        cluster.kubectl("delete", "vmsnap/web-1", "-n", scene.namespace(), "--timeout=60s");
    }

    @Test
    void deletionOfABoundOneIsLeftToTheAgent() {
        VMSnapshot ready = scene.readySnapshot(node, agent, "web-1", "web", SaveMode.Save);
        cluster.kubectl("delete", "vmsnap/web-1", "-n", scene.namespace(), "--wait=false");
        scene.awaitSnapshotReason("web-1", "Deleting");

        agent.fileIsGone(scene.snapshot("web-1"));

        await().atMost(OperatorScene.TIMEOUT)
                .until(() -> cluster.client().resource(ready).get() == null);
    }

    @Test
    void deletionWithItsNodeGoneIsNotHeldUp() {
        String system = cluster.createNamespace("gone-system");
        try (SimulatedNode lost = SimulatedNode.create(cluster, system, "refusal-lost");
                OperatorUnderTest own = OperatorUnderTest.start(cluster, system)) {
            assertThat(own.log()).contains("started");
            lost.runVm(scene.namespace(), "web", "web-pod");
            scene.create("web-1", OperatorScene.spec("web", SaveMode.Checkpoint, null, 300));
            agent.saved(scene.awaitSnapshot("web-1", SnapshotPhase.Bound));
            scene.awaitSnapshot("web-1", SnapshotPhase.Ready);
            lost.delete();

            cluster.kubectl("delete", "vmsnap/web-1", "-n", scene.namespace(), "--timeout=60s");

            await().atMost(OperatorScene.TIMEOUT)
                    .untilAsserted(() -> assertThat(scene.eventReasons("web-1")).contains("ImageOrphaned"));
        }
    }

    @Test
    void restoreOfAMissingSnapshotIsWaitedFor() {
        scene.restore("back", "no-such");

        OperatorScene.assertInProgress(
                scene.awaitRestoreReason("back", "SnapshotNotFound"),
                "SnapshotNotFound",
                "There is no VMSnapshot no-such in namespace %s. Name the right one in a new VMRestore."
                        .formatted(scene.namespace()));
    }

    @Test
    void restoreOfAnUnreadySnapshotWaitsForIt() {
        node.runVm(scene.namespace(), "web", "web-pod");
        scene.create("web-1", OperatorScene.save("web"));
        scene.awaitSnapshot("web-1", SnapshotPhase.Bound);
        scene.restore("back", "web-1");

        OperatorScene.assertInProgress(
                scene.awaitRestoreReason("back", "SnapshotNotReady"),
                "SnapshotNotReady",
                "VMSnapshot web-1 is not Ready: Bound: The agent of node refusal-1 saves VM web (pod web-pod). This restore waits for it.");
    }

    @Test
    void restoreOfAFailedSnapshotIsRefused() {
        Pod pod = node.runVm(scene.namespace(), "web", "web-pod");
        scene.create(
                "web-1",
                new VMSnapshotSpec(
                        "web", SaveMode.Save, null, SourceSpec.ofPod("u0"), null, null, null, null, null, null));
        scene.awaitSnapshot("web-1", SnapshotPhase.Failed);
        scene.restore("back", "web-1");

        OperatorScene.assertStalled(
                scene.awaitRestoreReason("back", "SnapshotUnusable"),
                "SnapshotUnusable",
                "VMSnapshot web-1 cannot be restored: PodReplaced: spec.source.podUID is u0, and the live pod web-pod has UID %s. Make a new VMSnapshot for that one. The VM runs."
                        .formatted(pod.getMetadata().getUid()));
    }

    @Test
    void restoreOfARunningVmIsRefused() {
        scene.readySnapshot(node, agent, "web-1", "web", SaveMode.Save);
        node.runVm(scene.namespace(), "web", "web-new");
        scene.restore("back", "web-1");

        OperatorScene.assertStalled(
                scene.awaitRestoreReason("back", "VMRunning"),
                "VMRunning",
                "VM web is still there, in pod web-new. Delete that pod, then make a new VMRestore of web-1. The image is safe.");
        scene.awaitSnapshot("web-1", SnapshotPhase.Ready);
    }

    @Test
    void restoreOfACheckpointWithoutAWordOnDisksIsRefused() {
        scene.readySnapshot(node, agent, "web-1", "web", SaveMode.Checkpoint);
        node.finishTermination(scene.pod("web-pod"));
        scene.restore("back", "web-1");

        OperatorScene.assertStalled(
                scene.awaitRestoreReason("back", "VMRanSince"),
                "VMRanSince",
                "VM web carried on after checkpoint web-1, so its disks have moved on. Put them back and say spec.disks: Restored in a new VMRestore, or Ephemeral if they do not matter. The image is safe.");
    }

    @Test
    void restoreWithoutTheRecordedManifestIsRefused() {
        VMSnapshot ready = scene.readySnapshot(node, agent, "web-1", "web", SaveMode.Save);
        String revision = Objects.requireNonNull(ready.getStatus().getManifestRevision());
        cluster.kubectl("delete", "controllerrevision/" + revision, "-n", scene.namespace());
        scene.restore("back", "web-1");

        OperatorScene.assertStalled(
                scene.awaitRestoreReason("back", "RecordedManifestMissing"),
                "RecordedManifestMissing",
                "ControllerRevision %s with the recorded pod of VM web is gone. The image is safe."
                        .formatted(revision));
    }

    @Test
    void secondRestoreOfTheVmWaitsAndIsRefusedOnceTheFirstHasTheImage() {
        scene.readySnapshot(node, agent, "web-1", "web", SaveMode.Save);
        scene.restore("back-1", "web-1");
        scene.awaitRestore("back-1", RestorePhase.Starting);
        scene.restore("back-2", "web-1");

        OperatorScene.assertInProgress(
                scene.awaitRestoreReason("back-2", "VMBusy"),
                "VMBusy",
                "VMRestore back-1 is at work on VM web. This one waits for its end.");

        // Once the first has the image there is none for any other, whether it waited or comes later.
        agent.imageChecked(scene.awaitRestore("back-1", RestorePhase.Starting));
        agent.resumed(
                scene.awaitRestore("back-1", "pod", seen -> seen.getStatus().getPod() != null));
        VMRestore second = scene.awaitRestore(
                "back-2",
                "refusal",
                seen -> Conditions.isTrue(seen.getStatus().getConditions(), ConditionType.STALLED));
        assertThat(Conditions.reason(second.getStatus().getConditions(), ConditionType.STALLED))
                .isIn("SnapshotUnusable", "VMRunning");
        assertThat(second.getStatus().getNodeName()).as("bound to nothing").isNull();
        scene.awaitSnapshot("web-1", SnapshotPhase.Consumed);
        scene.restore("back-3", "web-1");
        OperatorScene.assertStalled(
                scene.awaitRestoreReason("back-3", "SnapshotUnusable"),
                "SnapshotUnusable",
                "VMSnapshot web-1 cannot be restored: Consumed: VMRestore back-1 brought VM web back in pod web-pod; the image was consumed.");
        assertThat(scene.pods()).hasSize(1);
    }

    @Test
    void podThatIsRefusedEndsTheRestore() {
        scene.readySnapshot(node, agent, "web-1", "web", SaveMode.Save);
        cluster.kubectl("create", "quota", "none", "--hard=pods=0", "-n", scene.namespace());
        // Until what is used has been counted, the API server refuses pods for that.
        cluster.kubectl(
                "wait", "--for=jsonpath={.status.hard.pods}=0", "quota/none", "-n", scene.namespace(), "--timeout=60s");
        scene.restore("back", "web-1");
        agent.imageChecked(scene.awaitRestore("back", RestorePhase.Starting));

        OperatorScene.assertStalled(
                scene.awaitRestoreReason("back", "PodRejected"),
                "PodRejected",
                "The API server refused pod web-pod: pods \"web-pod\" is forbidden: exceeded quota: none, requested: pods=1, used: pods=0, limited: pods=0. Remove the cause, then make a new VMRestore. The image is safe.");
        scene.awaitSnapshot("web-1", SnapshotPhase.Ready);
    }

    @Test
    void deadlineOfARestoreEndsItsWait() {
        scene.create("back", new VMRestoreSpec("no-such", null, null, null, 3));

        OperatorScene.assertStalled(
                scene.awaitRestoreReason("back", "DeadlineExceeded"),
                "DeadlineExceeded",
                "Not admitted within 3 s. The last trouble was SnapshotNotFound: There is no VMSnapshot no-such in namespace %s. Name the right one in a new VMRestore."
                        .formatted(scene.namespace()));
    }

    @Test
    void deadAgentIsWaitedFor() {
        node.runVm(scene.namespace(), "web", "web-pod");
        node.agentReportedBefore(Duration.ofMinutes(5));
        try {
            scene.create("web-1", OperatorScene.save("web"));

            assertThat(scene.awaitSnapshotReason("web-1", "StoreUnavailable"))
                    .anySatisfy(condition -> assertThat(condition.getMessage())
                            .startsWith("The Torpor agent of node refusal-1 has not reported since ")
                            .endsWith("See that the node is up and its agent runs. The VM runs."));
        } finally {
            node.agentReportedBefore(Duration.ZERO);
        }
        scene.awaitSnapshot("web-1", SnapshotPhase.Bound);
    }

    private void cancel(String name) {
        cluster.kubectl(
                "patch",
                "vmsnap/" + name,
                "-n",
                scene.namespace(),
                "--type=merge",
                "-p",
                "{\"spec\":{\"cancel\":true}}");
    }
}
