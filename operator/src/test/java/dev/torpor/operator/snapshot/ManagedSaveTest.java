package dev.torpor.operator.snapshot;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.status.MergeStatusWriter;
import dev.torpor.api.status.StatusOwner;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.api.v1alpha1.ResumePolicy;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMRestoreSpec;
import dev.torpor.api.v1alpha1.VMRestoreStatus;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotClass;
import dev.torpor.api.v1alpha1.VMSnapshotSpec;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.operator.event.EventRecorder;
import dev.torpor.operator.step.StepHook;
import dev.torpor.operator.vm.AdmissionLock;
import dev.torpor.operator.vm.PodGate;
import dev.torpor.operator.vm.Stores;
import dev.torpor.operator.vm.TestCluster;
import dev.torpor.operator.vm.TestPods;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.Event;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.api.model.PersistentVolumeClaimBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.Toleration;
import io.fabric8.kubernetes.api.model.TolerationBuilder;
import io.fabric8.kubernetes.api.model.apps.StatefulSetBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.dsl.base.CustomResourceDefinitionContext;
import io.fabric8.kubernetes.client.server.mock.EnableKubernetesMockClient;
import io.fabric8.kubernetes.client.server.mock.KubernetesMockServer;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A managed save from its binding to the restore that starts the VM again, step by step on the client's mock server. */
@EnableKubernetesMockClient(crud = true, https = false)
@SuppressWarnings("NullAway.Init")
class ManagedSaveTest {
    private KubernetesMockServer server;
    private KubernetesClient client;
    private TestCluster cluster;
    private MergeStatusWriter writer;
    private SnapshotReconciler reconciler;

    @BeforeEach
    void startController() {
        server.expectCustomResource(CustomResourceDefinitionContext.fromCustomResourceType(VMSnapshot.class));
        server.expectCustomResource(CustomResourceDefinitionContext.fromCustomResourceType(VMRestore.class));
        server.expectCustomResource(CustomResourceDefinitionContext.fromCustomResourceType(VMSnapshotClass.class));
        cluster = new TestCluster(client);
        writer = new MergeStatusWriter(client);
        reconciler = new SnapshotReconciler(
                client,
                writer,
                new EventRecorder(client, cluster.clock()),
                new Stores(client, "torpor-system", cluster.clock()),
                new AdmissionLock(),
                cluster.clock(),
                StepHook.NONE);
    }

    @Test
    void barePodIsMadeAgainAndWaits() {
        savedBare(ResumePolicy.Manual);
        step();

        assertThat(pods()).singleElement().satisfies(pod -> {
            assertThat(pod.getMetadata().getName()).isEqualTo("web-pod");
            assertThat(pod.getMetadata().getUid()).isNotEqualTo("u1");
            assertThat(PodGate.holds(pod)).as("also where no webhook is").isTrue();
            assertThat(pod.getSpec().getAffinity().toString()).contains("metadata.name", "n1");
        });
        step();
        assertHeld("Manual", "VM web starts when somebody makes a VMRestore of VMSnapshot web-1.");
        assertThat(Conditions.isTrue(status().getConditions(), ConditionType.READY))
                .isTrue();
        assertThat(restores()).isEmpty();
        assertThat(podEvents()).singleElement().satisfies(event -> {
            assertThat(event.getReason()).isEqualTo("Saved");
            assertThat(event.getMessage()).contains("The memory of VM web is on node n1, in VMSnapshot web-1");
        });
    }

    @Test
    void barePodThatEndedBeforeTheVmWasBackIsMadeAgain() {
        savedBare(ResumePolicy.Manual);
        Pod before = client.resource(ended(TestPods.running("web-pod", "u2"))).create();
        step();

        assertThat(pods()).singleElement().satisfies(pod -> {
            assertThat(pod.getMetadata().getUid())
                    .isNotEqualTo(before.getMetadata().getUid());
            assertThat(pod.getStatus()).isNull();
        });
    }

    @Test
    void podOfSomethingElseThatHasTheNameIsLeftAndSaidInsteadOfTriedForEver() {
        savedBare(ResumePolicy.Manual);
        assertNameTaken(TestPods.running("web-pod", "u2")
                .editMetadata()
                .addToLabels(Torpor.VM_LABEL, "mail")
                .endMetadata()
                .build());
    }

    @Test
    void endedPodThatAControllerMadeIsLeftToIt() {
        savedBare(ResumePolicy.Manual);
        assertNameTaken(ended(TestPods.ofStatefulSet("web-pod", "u2")));
    }

    private void assertNameTaken(Pod other) {
        Pod before = client.resource(other).create();
        assertThat(reconciler.step("vms", "web-1")).isEqualTo(Duration.ofMinutes(1));
        assertHeld(
                "NameTaken",
                "Pod web-pod of VM web cannot be made: another pod has its name, or the last one is still being deleted. Delete that pod. The image is safe.");
        assertThat(pods()).singleElement().satisfies(pod -> assertThat(
                        pod.getMetadata().getUid())
                .isEqualTo(before.getMetadata().getUid()));
        client.pods().inNamespace("vms").withName("web-pod").delete();
        step();
        assertThat(pods()).hasSize(1);
    }

    private static Pod ended(PodBuilder pod) {
        return pod.editStatus()
                .withPhase("Failed")
                .withReason("Evicted")
                .endStatus()
                .build();
    }

    @Test
    void podOfAStatefulSetIsLeftToIt() {
        saved(TestPods.ofStatefulSet("web-0", "u1"), null);
        step();

        assertThat(pods()).isEmpty();
        assertHeld(
                "NoPod",
                "VM web has no pod: its StatefulSet has not made one, or is scaled to 0. It starts when there is one.");
    }

    @Test
    void heldPodIsStartedByOneRestoreOfOurs() {
        saved(TestPods.ofStatefulSet("web-0", "u1"), null);
        heldPod("u2");
        step();
        assertThat(reason()).isEqualTo("Queued");
        step();

        assertThat(reason()).isEqualTo("Starting");
        assertThat(restores()).singleElement().satisfies(restore -> {
            assertThat(restore.getMetadata().getName()).isEqualTo("web-1-start-1");
            assertThat(restore.getMetadata().getOwnerReferences())
                    .singleElement()
                    .satisfies(owner -> assertThat(owner.getUid())
                            .isEqualTo(seen().getMetadata().getUid()));
        });
        step();
        assertThat(status().getPhase()).isEqualTo(SnapshotPhase.Resuming);
        assertThat(restores()).hasSize(1);
    }

    @Test
    void cordonedNodeHoldsTheStart() {
        saved(TestPods.ofStatefulSet("web-0", "u1"), null);
        heldPod("u2");
        cluster.cordon(true);
        step();
        assertHeld(
                "NodeUnschedulable",
                "Node n1, which has the memory of VM web, is cordoned. The VM starts after kubectl uncordon n1. The image is safe.");
        cluster.cordon(false);
        step();
        assertThat(reason()).isEqualTo("Queued");
    }

    @Test
    void aTaintThatThePodDoesNotTolerateHoldsTheStart() {
        saved(TestPods.ofStatefulSet("web-0", "u1"), null);
        heldPod("u2");
        cluster.taint("prefer=:PreferNoSchedule", "dedicated=db:NoExecute");
        step();
        assertHeld(
                "NodeUnschedulable",
                "Node n1, which has the memory of VM web, has the taint dedicated:NoExecute, which pod web-0 does not tolerate. The VM starts when it is gone. The image is safe.");
        tolerating(toleration("Equal", "other", "NoExecute"), toleration("Equal", "db", "NoSchedule"));
        step();
        assertThat(reason()).isEqualTo("NodeUnschedulable");
        tolerating(toleration("Equal", "db", null));
        step();
        assertThat(reason()).isEqualTo("Queued");
    }

    private void tolerating(Toleration... tolerations) {
        client.pods().inNamespace("vms").withName("web-0").edit(pod -> new PodBuilder(pod)
                .editSpec()
                .withTolerations(tolerations)
                .endSpec()
                .build());
    }

    private static Toleration toleration(String operator, String value, @Nullable String effect) {
        return new TolerationBuilder()
                .withKey("dedicated")
                .withOperator(operator)
                .withValue(value)
                .withEffect(effect)
                .build();
    }

    @Test
    void claimThatIsAnotherHoldsTheStart() {
        String before = claim("disk");
        claim("web-0-scratch");
        String device = claim("web-0-device");
        saved(withClaims("u1"), null);
        assertThat(status().getClaims())
                .containsExactly(new ObjectName("disk", before), new ObjectName("web-0-device", device));

        client.persistentVolumeClaims().inNamespace("vms").withName("disk").delete();
        client.resource(TestPods.held(withClaims("u2"))).create();
        step();
        assertThat(reason()).isEqualTo("ClaimReplaced");
        String now = claim("disk");
        step();
        assertHeld(
                "ClaimReplaced",
                "PersistentVolumeClaim disk of VM web was deleted since the save, and the one of that name is another (UID %s, and was %s); the memory belongs to the disk that was there. Put the disk back and make a VMRestore of web-1 with spec.disks: Restored, or Ephemeral if it does not matter. The image is safe."
                        .formatted(now, before));
        assertThat(restores()).isEmpty();
    }

    private static PodBuilder withClaims(String uid) {
        return TestPods.ofStatefulSet("web-0", uid)
                .editSpec()
                .addNewVolume()
                .withName("data")
                .withNewPersistentVolumeClaim()
                .withClaimName("disk")
                .endPersistentVolumeClaim()
                .endVolume()
                .addNewVolume()
                .withName("scratch")
                .withNewEphemeral()
                .endEphemeral()
                .endVolume()
                .addNewVolume()
                .withName("device")
                .withNewEphemeral()
                .endEphemeral()
                .endVolume()
                .editFirstContainer()
                .addNewVolumeDevice()
                .withName("device")
                .withDevicePath("/dev/device")
                .endVolumeDevice()
                .endContainer()
                .endSpec();
    }

    private String claim(String name) {
        return client.resource(new PersistentVolumeClaimBuilder()
                        .withNewMetadata()
                        .withNamespace("vms")
                        .withName(name)
                        .endMetadata()
                        .build())
                .create()
                .getMetadata()
                .getUid();
    }

    @Test
    void whatWaitsForItsNodeIsWokenByItAndHardlyLooksByItself() {
        saved(TestPods.ofStatefulSet("web-0", "u1"), null);
        heldPod("u2");
        cluster.cordon(true);
        assertThat(reconciler.step("vms", "web-1")).isEqualTo(Duration.ofMinutes(1));
    }

    @Test
    void vmsThatWaitForTheSameNodeGoFirstIfTheyAreMoreImportantThoughTheyWereNotLookedAtYet() {
        saved(TestPods.ofStatefulSet("web-0", "u1"), null);
        heldPod("u2");
        for (String vm : List.of("mail", "db")) {
            waitingForItsNode(vm, "store", "StoreUnavailable");
        }
        step();
        step();
        assertThat(reason()).isEqualTo("Queued");
        assertThat(restores()).isEmpty();

        client.resources(VMSnapshot.class).inNamespace("vms").withName("db-1").delete();
        step();
        assertThat(reason()).as("two at a time").isEqualTo("Starting");
    }

    @Test
    void vmsThatWaitForAnotherStoreOfTheNodeAreNotWaitedFor() {
        saved(TestPods.ofStatefulSet("web-0", "u1"), null);
        heldPod("u2");
        for (String vm : List.of("mail", "db")) {
            waitingForItsNode(vm, "store-that-was", "StoreUnavailable");
        }
        step();
        step();
        assertThat(reason()).isEqualTo("Starting");
    }

    @Test
    void whatABackupBroughtBackHasNoTurn() {
        saved(TestPods.ofStatefulSet("web-0", "u1"), null);
        heldPod("u2");
        for (String vm : List.of("mail", "db")) {
            waitingForItsNode(vm, "store", "Queued");
            client.resources(VMSnapshot.class)
                    .inNamespace("vms")
                    .withName(vm + "-1")
                    .editStatus(snapshot -> {
                        snapshot.getStatus().setManifestRevision("torpor-of-another");
                        return snapshot;
                    });
            VMRestore restore = new VMRestore();
            restore.setMetadata(new ObjectMetaBuilder()
                    .withNamespace("vms")
                    .withName(vm + "-start")
                    .addToLabels("velero.io/restore-name", "monday")
                    .build());
            restore.setSpec(new VMRestoreSpec(vm + "-1", null, null, null, null));
            restore.setStatus(new VMRestoreStatus());
            restore.getStatus().setNodeName("n1");
            restore.getStatus().setPhase(dev.torpor.api.v1alpha1.RestorePhase.Loading);
            client.resource(restore).create();
        }
        step();
        step();
        assertThat(reason()).isEqualTo("Starting");
    }

    /** A VM of higher priority, whose snapshot was last looked at when the node was not there. */
    private void waitingForItsNode(String vm, String store, String reason) {
        client.resource(new PodBuilder(TestPods.held(TestPods.ofStatefulSet(vm + "-0", vm + "-uid")))
                        .editMetadata()
                        .addToLabels(Torpor.VM_LABEL, vm)
                        .endMetadata()
                        .editSpec()
                        .withPriority(100)
                        .endSpec()
                        .build())
                .create();
        VMSnapshot snapshot = new VMSnapshot();
        snapshot.setMetadata(
                new ObjectMetaBuilder().withNamespace("vms").withName(vm + "-1").build());
        snapshot.setSpec(new VMSnapshotSpec(vm, SaveMode.ManagedSave, null, null, null, 300, null, null, null, null));
        VMSnapshotStatus status = new VMSnapshotStatus();
        status.setNodeName("n1");
        status.setNodeUID(status().getNodeUID());
        status.setStoreID(store);
        status.setConditions(List.of(
                Conditions.next(null, ConditionType.SAVED, true, "Committed", "", 1L, Instant.EPOCH),
                Conditions.next(null, ConditionType.RESUMABLE, false, reason, "", 1L, Instant.EPOCH)));
        snapshot.setStatus(status);
        client.resource(snapshot).create();
    }

    @Test
    void nodeInMaintenanceHoldsTheStartThoughItIsNotCordoned() {
        saved(TestPods.ofStatefulSet("web-0", "u1"), null);
        heldPod("u2");
        cluster.maintain("yes");
        step();
        assertHeld(
                "NodeUnschedulable",
                "Node n1, which has the memory of VM web, is in maintenance. The VM starts when annotation torpor.dev/maintenance is gone. The image is safe.");
        cluster.maintain("false");
        step();
        assertThat(reason()).isEqualTo("Queued");
    }

    @Test
    void silentStoreHoldsTheStart() {
        saved(TestPods.ofStatefulSet("web-0", "u1"), null);
        heldPod("u2");
        cluster.later(41);
        step();
        assertThat(reason()).isEqualTo("StoreUnavailable");
    }

    @Test
    void changedDefinitionHoldsTheStart() {
        saved(TestPods.ofStatefulSet("web-0", "u1"), null);
        client.resource(new PodBuilder(TestPods.held(TestPods.ofStatefulSet("web-0", "u2")))
                        .editSpec()
                        .editFirstContainer()
                        .withArgs("-m", "8G")
                        .withImage("other")
                        .endContainer()
                        .endSpec()
                        .build())
                .create();
        step();
        assertHeld(
                "DefinitionChanged",
                "Pod web-0 is not the VM that was saved: its image, args changed. Put it back, or give up the memory of VM web (annotate VMSnapshot web-1 with torpor.dev/discard=true and delete it). The image is safe.");
    }

    @ParameterizedTest
    @CsvSource({"OnDelete, 0", "RollingUpdate, 1"})
    void rollOutThatWouldEndTheVmAgainHoldsTheStart(String otherType, int otherPartition) {
        saved(TestPods.ofStatefulSet("web-0", "u1"), null);
        heldPod("u2");
        client.resource(new StatefulSetBuilder()
                        .withNewMetadata()
                        .withNamespace("vms")
                        .withName("web")
                        .withGeneration(2L)
                        .endMetadata()
                        .withNewSpec()
                        .endSpec()
                        .withNewStatus()
                        .withObservedGeneration(2L)
                        .withUpdateRevision("web-2")
                        .endStatus()
                        .build())
                .create();
        step();
        assertThat(reason()).isEqualTo("RolloutPending");
        client.apps().statefulSets().inNamespace("vms").withName("web").edit(set -> new StatefulSetBuilder(set)
                .editSpec()
                .withNewUpdateStrategy()
                .withType(otherType)
                .withNewRollingUpdate()
                .withPartition(otherPartition)
                .endRollingUpdate()
                .endUpdateStrategy()
                .endSpec()
                .build());
        step();
        assertThat(reason()).isEqualTo("Queued");
    }

    @Test
    void startThatFailedByAMishapIsFollowedByAnotherLater() throws Exception {
        saved(TestPods.ofStatefulSet("web-0", "u1"), null);
        heldPod("u2");
        step();
        step();
        failStart("PodGone");
        step();
        assertThat(reason()).isEqualTo("StartFailed");
        String failed = restores().getFirst().getMetadata().getResourceVersion();
        cluster.later(11);
        cluster.renewLease();
        step();
        step();
        step();

        assertThat(restores()).singleElement().satisfies(restore -> assertThat(
                        restore.getMetadata().getName())
                .isEqualTo("web-1-start-2"));
        assertThat(TestCluster.lastDeletion(server, "web-1-start-1")
                        .getPreconditions()
                        .getResourceVersion())
                .isEqualTo(failed);
    }

    @Test
    void startThatCannotSucceedIsNotRepeatedUntilItsRestoreIsDeleted() {
        saved(TestPods.ofStatefulSet("web-0", "u1"), null);
        heldPod("u2");
        step();
        step();
        failStart("MachineTypeMismatch");
        step();
        cluster.later(3600);
        cluster.renewLease();
        step();
        assertHeld(
                "StartFailed",
                "VMRestore web-1-start-1 failed: MachineTypeMismatch: It did not work. To have it tried again, remove the cause and delete that VMRestore.");
        client.resource(restores().getFirst()).delete();
        step();
        step();
        assertThat(restores()).hasSize(1);
    }

    @Test
    void savedVmIsNotSavedAgain() {
        saved(TestPods.ofStatefulSet("web-0", "u1"), null);
        heldPod("u2");
        cluster.snapshot("web-2", SaveMode.ManagedSave);
        stepOf("web-2");
        stepOf("web-2");

        assertThat(Conditions.find(
                        Objects.requireNonNull(cluster.snapshot("web-2"))
                                .getStatus()
                                .getConditions(),
                        ConditionType.STALLED))
                .hasValueSatisfying(stalled -> {
                    assertThat(stalled.getReason()).isEqualTo("AlreadySaved");
                    assertThat(stalled.getMessage())
                            .isEqualTo(
                                    "VM web is saved already: VMSnapshot web-1 has its memory, on node n1. Nothing was done. The image is safe.");
                });
    }

    @Test
    void lostNodeBlocksTheVmAndSaysHowToGiveItsMemoryUp() {
        saved(TestPods.ofStatefulSet("web-0", "u1"), null);
        heldPod("u2");
        client.nodes().withName("n1").delete();
        step();

        assertThat(Conditions.find(status().getConditions(), ConditionType.READY))
                .hasValueSatisfying(ready -> {
                    assertThat(ready.getReason()).isEqualTo("NodeGone");
                    assertThat(ready.getMessage())
                            .contains(
                                    "VM web stays stopped.",
                                    "kubectl annotate vmsnapshot web-1 torpor.dev/discard=true");
                });
        assertThat(pods()).hasSize(1);
    }

    @Test
    void nodeThatIsLostDuringAStartIsSaidAtOnce() {
        saved(TestPods.ofStatefulSet("web-0", "u1"), null);
        heldPod("u2");
        step();
        step();
        step();
        assertThat(status().getPhase()).isEqualTo(SnapshotPhase.Resuming);
        client.nodes().withName("n1").delete();
        step();

        assertThat(Conditions.reason(status().getConditions(), ConditionType.READY))
                .isEqualTo("NodeGone");
        assertThat(restores()).hasSize(1);
    }

    private void savedBare(ResumePolicy resume) {
        saved(TestPods.running("web-pod", "u1"), resume);
    }

    private void saved(PodBuilder pod, @org.jspecify.annotations.Nullable ResumePolicy resume) {
        client.resource(pod.build()).create();
        cluster.snapshot("web-1", SaveMode.ManagedSave, resume);
        step();
        step();
        assertThat(status().getPhase()).isEqualTo(SnapshotPhase.Bound);
        VMSnapshotStatus own = new VMSnapshotStatus();
        own.setConditions(List.of(
                Conditions.next(null, ConditionType.SAVED, true, "Committed", "", 1L, Instant.EPOCH),
                Conditions.next(null, ConditionType.IMAGE_AVAILABLE, true, "Committed", "", 1L, Instant.EPOCH)));
        writer.news(StatusOwner.SNAPSHOT_AGENT, seen(), own);
        step();
        assertThat(pods()).isEmpty();
    }

    private void heldPod(String uid) {
        client.resource(TestPods.held(TestPods.ofStatefulSet("web-0", uid))).create();
    }

    private void failStart(String reason) {
        VMRestore restore = restores().getFirst();
        VMRestoreStatus own = new VMRestoreStatus();
        own.setSnapshotUID(seen().getMetadata().getUid());
        own.setPhase(dev.torpor.api.v1alpha1.RestorePhase.Failed);
        own.setConditions(List.of(Conditions.next(
                null,
                ConditionType.STALLED,
                true,
                reason,
                "It did not work.",
                1L,
                cluster.clock().instant())));
        writer.transition(StatusOwner.RESTORE_OPERATOR, restore, own);
    }

    private void assertHeld(String reason, String message) {
        assertThat(Conditions.find(status().getConditions(), ConditionType.RESUMABLE))
                .hasValueSatisfying((Condition resumable) -> {
                    assertThat(resumable.getStatus()).isEqualTo("False");
                    assertThat(resumable.getReason()).isEqualTo(reason);
                    assertThat(resumable.getMessage()).isEqualTo(message);
                });
    }

    private String reason() {
        return Objects.requireNonNull(Conditions.reason(status().getConditions(), ConditionType.RESUMABLE));
    }

    private void step() {
        stepOf("web-1");
    }

    private void stepOf(String name) {
        var _ = reconciler.step("vms", name);
    }

    private VMSnapshot seen() {
        return Objects.requireNonNull(cluster.snapshot("web-1"));
    }

    private VMSnapshotStatus status() {
        return seen().getStatus();
    }

    private List<Pod> pods() {
        return client.pods().inNamespace("vms").list().getItems();
    }

    private List<VMRestore> restores() {
        return client.resources(VMRestore.class).inNamespace("vms").list().getItems();
    }

    private List<Event> podEvents() {
        return client.v1().events().inNamespace("vms").list().getItems().stream()
                .filter(event -> "Pod".equals(event.getInvolvedObject().getKind()))
                .toList();
    }
}
