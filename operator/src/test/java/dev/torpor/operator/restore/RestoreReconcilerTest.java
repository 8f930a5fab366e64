package dev.torpor.operator.restore;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.status.MergeStatusWriter;
import dev.torpor.api.status.StatusOwner;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.FailureStatus;
import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.api.v1alpha1.RestorePhase;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMRestoreStatus;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.operator.event.EventRecorder;
import dev.torpor.operator.step.StepHook;
import dev.torpor.operator.vm.AdmissionLock;
import dev.torpor.operator.vm.PodGate;
import dev.torpor.operator.vm.RecordedManifests;
import dev.torpor.operator.vm.Stores;
import dev.torpor.operator.vm.TestCluster;
import dev.torpor.operator.vm.TestPods;
import dev.torpor.operator.vm.VmPods;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.dsl.base.CustomResourceDefinitionContext;
import io.fabric8.kubernetes.client.server.mock.EnableKubernetesMockClient;
import io.fabric8.kubernetes.client.server.mock.KubernetesMockServer;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The controller step by step on the client's mock server, with its writes counted. */
@EnableKubernetesMockClient(crud = true, https = false)
@SuppressWarnings("NullAway.Init")
class RestoreReconcilerTest {
    private KubernetesMockServer server;
    private KubernetesClient client;
    private TestCluster cluster;
    private MergeStatusWriter writer;
    private RestoreReconciler reconciler;

    @BeforeEach
    void startController() {
        server.expectCustomResource(CustomResourceDefinitionContext.fromCustomResourceType(VMSnapshot.class));
        server.expectCustomResource(CustomResourceDefinitionContext.fromCustomResourceType(VMRestore.class));
        cluster = new TestCluster(client);
        writer = new MergeStatusWriter(client);
        reconciler = new RestoreReconciler(
                client,
                writer,
                new EventRecorder(client, cluster.clock()),
                new Stores(client, "torpor-system", cluster.clock()),
                new AdmissionLock(),
                cluster.clock(),
                StepHook.NONE);
        readySnapshot();
        cluster.restore("back", "web-1");
    }

    @Test
    void restoreIsFourWritesOfOursAndOnePod() {
        step();
        assertThat(status().getPhase()).isEqualTo(RestorePhase.Starting);
        assertThat(status().getNodeName()).isEqualTo("n1");
        step();
        assertThat(pods()).isEmpty();

        agentSays(ConditionType.IMAGE_AVAILABLE, true, "Checked");
        step();
        step();
        Pod pod = pods().getFirst();
        assertThat(status().getPod())
                .isEqualTo(new ObjectName("web-pod", pod.getMetadata().getUid()));
        agentSays(ConditionType.RESUMED, false, "Loading");
        step();
        assertThat(status().getPhase()).isEqualTo(RestorePhase.Loading);
        agentSays(ConditionType.RESUMED, true, "Running");
        step();
        assertThat(status().getPhase()).isEqualTo(RestorePhase.Running);

        assertThat(writer.writes().stream().filter(write -> write.startsWith("torpor-operator VMRestore")))
                .hasSize(4);
        assertNothingHappensAgain();
    }

    @Test
    void aGuestWhoseMemoryIsDamagedHasFailedAndItsPodIsLeftAlone() {
        step();
        agentSays(ConditionType.IMAGE_AVAILABLE, true, "Checked");
        step();
        step();
        agentSays(ConditionType.RESUMED, true, "Running");
        step();
        agentSaysOfMemory("NotCompared");
        step();
        assertThat(status().getPhase()).isEqualTo(RestorePhase.Running);
        agentSaysOfMemory("ImageDamaged");
        step();
        assertThat(status().getPhase()).isEqualTo(RestorePhase.Failed);
        assertThat(Conditions.reason(status().getConditions(), ConditionType.STALLED))
                .isEqualTo("ImageDamaged");
        assertThat(pods()).hasSize(1);
        assertNothingHappensAgain();
    }

    @Test
    void oldAndNewAddressOfThePodAreShown() {
        step();
        assertThat(status().getSavedPodIP()).isEqualTo("192.0.2.1");
        agentSays(ConditionType.IMAGE_AVAILABLE, true, "Checked");
        step();
        step();
        client.pods().inNamespace("vms").withName("web-pod").editStatus(pod -> new PodBuilder(pod)
                .editOrNewStatus()
                .withPhase("Running")
                .withPodIP("192.0.2.2")
                .endStatus()
                .build());
        agentSays(ConditionType.RESUMED, true, "Running");
        step();
        assertThat(status().getPodIP()).isEqualTo("192.0.2.2");

        client.pods().inNamespace("vms").withName("web-pod").delete();
        step();
        assertThat(status().getPodIP()).as("is kept").isEqualTo("192.0.2.2");
        assertThat(status().getSavedPodIP()).isEqualTo("192.0.2.1");
    }

    @Test
    void restoreThatWasRestoredFromABackupIsNotCarriedOut() {
        VMRestore restored = Objects.requireNonNull(cluster.restore("back"));
        restored.getMetadata().setLabels(Map.of("velero.io/restore-name", "monday"));
        client.resource(restored).update();
        step();

        assertThat(status().getPhase()).isEqualTo(RestorePhase.Failed);
        assertThat(Conditions.reason(status().getConditions(), ConditionType.STALLED))
                .isEqualTo("RestoredFromBackup");
        assertThat(pods()).isEmpty();
        assertNothingHappensAgain();
    }

    @Test
    void podIsMadeWithoutTheReadinessGateThatOnlyTheWebhookKnowsToBeAnswered() {
        ready(
                Objects.requireNonNull(cluster.snapshot("web-1")),
                TestPods.running("web-pod", "u3")
                        .editSpec()
                        .addNewReadinessGate("example.com/theirs")
                        .addNewReadinessGate(Torpor.GUEST_RUNNING)
                        .endSpec()
                        .build());
        step();
        agentSays(ConditionType.IMAGE_AVAILABLE, true, "Checked");
        step();
        assertThat(pods().getFirst().getSpec().getReadinessGates())
                .extracting("conditionType")
                .containsExactly("example.com/theirs");
    }

    @Test
    void podThatWasCreatedButNotWrittenDownIsFoundAgain() {
        step();
        agentSays(ConditionType.IMAGE_AVAILABLE, true, "Checked");
        step();
        writer.answerStale(true);
        step();
        assertThat(status().getPod()).isNull();
        writer.answerStale(false);

        step();

        assertThat(pods()).hasSize(1);
        assertThat(status().getPod()).isNotNull();
    }

    @Test
    void troubleOfTheAgentIsNotTakenForLoading() {
        step();
        agentSays(ConditionType.IMAGE_AVAILABLE, true, "Checked");
        step();
        agentSays(ConditionType.RESUMED, false, "SocketMissing");
        step();

        assertThat(status().getPhase()).isEqualTo(RestorePhase.Starting);
        assertThat(Conditions.reason(status().getConditions(), ConditionType.READY))
                .isEqualTo("SocketMissing");
    }

    @Test
    void podThatWentAwayIsNotMadeAgain() {
        step();
        agentSays(ConditionType.IMAGE_AVAILABLE, true, "Checked");
        step();
        step();
        client.pods().inNamespace("vms").withName("web-pod").delete();

        step();

        assertStalled("PodGone", "Pod web-pod went away before VM web ran. Make a new VMRestore. The image is safe.");
        assertThat(pods()).isEmpty();
        assertNothingHappensAgain();
    }

    @Test
    void nodeThatIsGoneEndsTheRestoreBeforeAPodIsMadeForIt() {
        step();
        agentSays(ConditionType.IMAGE_AVAILABLE, true, "Checked");
        client.nodes().withName("n1").delete();
        step();

        assertStalled("NodeGone", "Node n1 is gone. The image was in its store.");
        assertThat(pods()).isEmpty();
        assertNothingHappensAgain();
    }

    @Test
    void podOfANodeThatIsGoneIsLeftToKubernetesAndOneThatWasOnNoneIsDeleted() {
        step();
        agentSays(ConditionType.IMAGE_AVAILABLE, true, "Checked");
        step();
        step();
        client.nodes().withName("n1").delete();
        onNode("n1");
        step();
        assertStalled("NodeGone", "Node n1 is gone. The image was in its store.");
        assertNothingHappensAgain();
        assertThat(pods()).hasSize(1);
        onNode(null);
        step();
        assertThat(pods()).isEmpty();
    }

    private void onNode(@Nullable String name) {
        client.pods().inNamespace("vms").withName("web-pod").edit(pod -> new PodBuilder(pod)
                .editSpec()
                .withNodeName(name)
                .endSpec()
                .build());
    }

    @Test
    void vmStartedMeanwhileIsNotTouched() {
        step();
        agentSays(ConditionType.IMAGE_AVAILABLE, true, "Checked");
        client.resource(TestPods.running("other-pod", "u9").build()).create();

        step();

        assertStalled(
                "VMRunning",
                "VM web was started meanwhile, in pod other-pod. Delete that pod, then make a new VMRestore. The image is safe.");
        assertThat(pods()).hasSize(1);
    }

    @Test
    void heldPodOfAManagedImageIsLetGoAndNoneIsMade() {
        managedSnapshot("web-2");
        client.resource(TestPods.held(TestPods.ofStatefulSet("web-0", "u2"))).create();
        cluster.restore("start", "web-2");
        stepOf("start");
        assertThat(PodGate.holds(pods().getFirst())).isTrue();
        agentSays("start", ConditionType.IMAGE_AVAILABLE, true, "Checked");
        stepOf("start");

        assertThat(pods()).singleElement().satisfies(pod -> {
            assertThat(PodGate.holds(pod)).isFalse();
            assertThat(pod.getMetadata().getAnnotations())
                    .containsEntry(
                            Torpor.RESTORE_ANNOTATION,
                            Objects.requireNonNull(cluster.restore("start"))
                                    .getMetadata()
                                    .getUid());
        });
        stepOf("start");
        assertThat(Objects.requireNonNull(cluster.restore("start")).getStatus().getPod())
                .isEqualTo(
                        new ObjectName("web-0", pods().getFirst().getMetadata().getUid()));
    }

    @Test
    void whatKeepsAPodFromBeingLetGoForNowIsWaitedFor() {
        managedSnapshot("web-2");
        client.resource(TestPods.held(TestPods.ofStatefulSet("web-0", "u2"))).create();
        cluster.restore("start", "web-2");
        stepOf("start");
        cluster.taint("node.kubernetes.io/disk-pressure=:NoSchedule");
        agentSays("start", ConditionType.IMAGE_AVAILABLE, true, "Checked");
        stepOf("start");

        assertWaits("start", "NodeUnschedulable");
        assertThat(PodGate.holds(pods().getFirst())).isTrue();
        cluster.taint();
        stepOf("start");
        assertThat(PodGate.holds(pods().getFirst())).isFalse();
    }

    @Test
    void aNameThatIsTakenIsWaitedFor() {
        step();
        agentSays(ConditionType.IMAGE_AVAILABLE, true, "Checked");
        client.resource(TestPods.running("web-pod", "u9")
                        .editMetadata()
                        .addToLabels(Torpor.VM_LABEL, "mail")
                        .endMetadata()
                        .build())
                .create();
        step();
        assertWaits("back", "NameTaken");
        assertNothingHappensAgain();

        client.pods().inNamespace("vms").withName("web-pod").delete();
        step();
        assertThat(pods()).singleElement().satisfies(pod -> assertThat(
                        pod.getMetadata().getAnnotations())
                .containsKey(Torpor.RESTORE_ANNOTATION));
    }

    private void assertWaits(String name, String reason) {
        VMRestoreStatus status = Objects.requireNonNull(cluster.restore(name)).getStatus();
        assertThat(status.getPhase()).isEqualTo(RestorePhase.Starting);
        assertThat(Conditions.reason(status.getConditions(), ConditionType.READY))
                .isEqualTo(reason);
        assertThat(Conditions.isTrue(status.getConditions(), ConditionType.STALLED))
                .isFalse();
    }

    @Test
    void heldPodThatWasMadeByHandIsBoundToTheNodeOfItsImage() {
        managedSnapshot("web-2");
        Pod held = TestPods.held(TestPods.running("web-0", "u2"));
        held.getSpec().setAffinity(null);
        client.resource(held).create();
        cluster.restore("start", "web-2");
        stepOf("start");
        agentSays("start", ConditionType.IMAGE_AVAILABLE, true, "Checked");
        stepOf("start");

        assertThat(pods()).singleElement().satisfies(pod -> {
            assertThat(PodGate.holds(pod)).isFalse();
            assertThat(pod.getSpec().getAffinity().toString()).contains("metadata.name", "n1");
        });
    }

    @Test
    void failureOfTheAgentDeletesThePodAndIsTheEnd() {
        step();
        agentSays(ConditionType.IMAGE_AVAILABLE, true, "Checked");
        step();
        step();
        VMRestoreStatus own = new VMRestoreStatus();
        own.setFailure(new FailureStatus("LoadFailed", "QEMU said no. The image is safe."));
        writer.news(StatusOwner.RESTORE_AGENT, seen(), own);
        step();

        assertStalled("LoadFailed", "QEMU said no. The image is safe.");
        assertThat(pods()).isEmpty();
        assertNothingHappensAgain();
    }

    @Test
    void lateWordThatTheGuestRunsWinsOverOurFailure() {
        step();
        agentSays(ConditionType.IMAGE_AVAILABLE, true, "Checked");
        step();
        step();
        client.pods().inNamespace("vms").withName("web-pod").delete();
        step();
        agentSays(ConditionType.RESUMED, true, "Running");

        step();

        assertThat(status().getPhase()).isEqualTo(RestorePhase.Running);
    }

    private void assertStalled(String reason, String message) {
        assertThat(status().getPhase()).isEqualTo(RestorePhase.Failed);
        assertThat(Conditions.find(status().getConditions(), ConditionType.STALLED))
                .hasValueSatisfying(stalled -> {
                    assertThat(stalled.getReason()).isEqualTo(reason);
                    assertThat(stalled.getMessage()).isEqualTo(message);
                });
    }

    private void assertNothingHappensAgain() {
        String version = seen().getMetadata().getResourceVersion();
        int pods = pods().size();
        step();
        step();
        assertThat(seen().getMetadata().getResourceVersion()).isEqualTo(version);
        assertThat(pods()).hasSize(pods);
    }

    private void readySnapshot() {
        ready(
                cluster.snapshot("web-1", SaveMode.Save),
                TestPods.running("web-pod", "u1").build());
    }

    private void managedSnapshot(String name) {
        ready(
                cluster.snapshot(name, SaveMode.ManagedSave),
                TestPods.ofStatefulSet("web-0", "u1").build());
    }

    private void ready(VMSnapshot snapshot, Pod pod) {
        new RecordedManifests(client).record(snapshot, pod, StepHook.NONE);
        VMSnapshotStatus own = new VMSnapshotStatus();
        own.setManifestRevision(RecordedManifests.nameFor(snapshot, VmPods.nameOf(pod)));
        own.setPhase(SnapshotPhase.Ready);
        own.setNodeName("n1");
        own.setStoreID("store");
        own.setPodIP("192.0.2.1");
        own.setConditions(
                List.of(Conditions.next(null, ConditionType.READY, true, "Restorable", "", 1L, Instant.EPOCH)));
        writer.transition(StatusOwner.SNAPSHOT_OPERATOR, snapshot, own);
    }

    private void agentSays(String type, boolean status, String reason) {
        agentSays("back", type, status, reason);
    }

    private void agentSays(String name, String type, boolean status, String reason) {
        VMRestoreStatus own = new VMRestoreStatus();
        Condition checked =
                Conditions.next(null, ConditionType.IMAGE_AVAILABLE, true, "Checked", "", 1L, Instant.EPOCH);
        own.setConditions(
                Conditions.with(List.of(checked), Conditions.next(null, type, status, reason, "", 1L, Instant.EPOCH)));
        writer.news(StatusOwner.RESTORE_AGENT, Objects.requireNonNull(cluster.restore(name)), own);
    }

    /** The guest is back, and this became of the comparison of its memory. */
    private void agentSaysOfMemory(String reason) {
        VMRestoreStatus own = new VMRestoreStatus();
        own.setConditions(List.of(
                Conditions.next(null, ConditionType.IMAGE_AVAILABLE, true, "Checked", "", 1L, Instant.EPOCH),
                Conditions.next(null, ConditionType.RESUMED, true, "Running", "", 1L, Instant.EPOCH),
                Conditions.next(null, ConditionType.VERIFIED, false, reason, "", 1L, Instant.EPOCH)));
        writer.news(StatusOwner.RESTORE_AGENT, Objects.requireNonNull(cluster.restore("back")), own);
    }

    private void step() {
        stepOf("back");
    }

    private void stepOf(String name) {
        var _ = reconciler.step("vms", name);
    }

    private VMRestore seen() {
        return Objects.requireNonNull(cluster.restore("back"));
    }

    private VMRestoreStatus status() {
        return seen().getStatus();
    }

    private List<Pod> pods() {
        return client.pods().inNamespace("vms").list().getItems();
    }
}
