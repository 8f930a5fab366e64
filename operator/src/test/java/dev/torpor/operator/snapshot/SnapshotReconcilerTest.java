package dev.torpor.operator.snapshot;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.status.MergeStatusWriter;
import dev.torpor.api.status.StatusOwner;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.FailureStatus;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotClass;
import dev.torpor.api.v1alpha1.VMSnapshotSpec;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.operator.event.EventRecorder;
import dev.torpor.operator.step.StepHook;
import dev.torpor.operator.vm.AdmissionLock;
import dev.torpor.operator.vm.ManagedImages;
import dev.torpor.operator.vm.RecordedManifests;
import dev.torpor.operator.vm.Stores;
import dev.torpor.operator.vm.TestCluster;
import dev.torpor.operator.vm.TestPods;
import dev.torpor.operator.vm.VmPods;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.Event;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.apps.ControllerRevision;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.dsl.base.CustomResourceDefinitionContext;
import io.fabric8.kubernetes.client.server.mock.EnableKubernetesMockClient;
import io.fabric8.kubernetes.client.server.mock.KubernetesMockServer;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The controller step by step on the client's mock server, with its writes counted. */
@EnableKubernetesMockClient(crud = true, https = false)
@SuppressWarnings("NullAway.Init")
class SnapshotReconcilerTest {
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
        reconciler = reconciler(cluster.clock());
    }

    private SnapshotReconciler reconciler(InstantSource clock) {
        return new SnapshotReconciler(
                client,
                writer,
                new EventRecorder(client, cluster.clock()),
                new Stores(client, "torpor-system", cluster.clock()),
                new AdmissionLock(),
                clock,
                StepHook.NONE);
    }

    @Test
    void saveIsFiveWritesOfOurs() {
        client.resource(TestPods.running("web-pod", "u1").build()).create();
        cluster.snapshot("web-1", SaveMode.Save);

        assertThat(step()).isEqualTo(Duration.ZERO);
        assertThat(seen().getMetadata().getFinalizers()).containsExactly(Torpor.IMAGE_FINALIZER);
        step();
        assertThat(status().getPhase()).isEqualTo(SnapshotPhase.Bound);
        assertThat(revisions()).hasSize(1);
        agentSays(ConditionType.SAVED, false, "Saving");
        step();
        assertThat(status().getPhase()).isEqualTo(SnapshotPhase.Saving);
        assertThat(client.pods().inNamespace("vms").list().getItems()).hasSize(1);
        agentSays(ConditionType.SAVED, true, "Committed");
        step();
        assertThat(status().getPhase()).isEqualTo(SnapshotPhase.Saved);
        assertThat(client.pods().inNamespace("vms").list().getItems()).isEmpty();
        step();
        assertThat(status().getPhase()).isEqualTo(SnapshotPhase.Ready);

        assertThat(ourWrites()).hasSize(4);
        assertNothingHappensAgain();
    }

    @Test
    void stepAfterEachPhaseWritesNothing() {
        client.resource(TestPods.running("web-pod", "u1").build()).create();
        cluster.snapshot("web-1", SaveMode.Checkpoint);
        step();
        step();
        assertNothingHappensAgain();
        agentSays(ConditionType.SAVED, false, "Saving");
        step();
        assertNothingHappensAgain();
        agentSays(ConditionType.SAVED, true, "Committed");
        step();
        assertThat(status().getPhase()).isEqualTo(SnapshotPhase.Ready);
        assertNothingHappensAgain();
    }

    @Test
    void staleWriteIsDecidedAgain() {
        client.resource(TestPods.running("web-pod", "u1").build()).create();
        cluster.snapshot("web-1", SaveMode.Save);
        step();
        writer.answerStale(true);
        assertThat(step()).isNotNull();
        assertThat(seen().getStatus()).isNull();

        writer.answerStale(false);
        step();

        assertThat(status().getPhase()).isEqualTo(SnapshotPhase.Bound);
        assertThat(revisions()).hasSize(1);
    }

    @Test
    void anOrderToShutDownIsBoundAlthoughItIsCancelledAndNothingElseThatIs() {
        client.resource(TestPods.running("web-pod", "u1").build()).create();
        Map<String, String> order = Map.of(
                Torpor.CREATED_BY_ANNOTATION,
                Torpor.CREATED_BY_DRAIN,
                Torpor.DRAIN_CAUSE_ANNOTATION,
                Torpor.CAUSE_REMOVAL,
                Torpor.SHUT_DOWN_ANNOTATION,
                "u1/30");
        createCancelled("web-1", order);
        step();
        step();
        assertThat(status().getPhase()).isEqualTo(SnapshotPhase.Bound);
        assertThat(status().getPod()).isNotNull();

        for (String without : order.keySet()) {
            client.resources(VMSnapshot.class)
                    .inNamespace("vms")
                    .withName("web-1")
                    .edit(it -> {
                        it.setMetadata(new ObjectMetaBuilder(it.getMetadata())
                                .withFinalizers(List.of())
                                .build());
                        return it;
                    });
            client.resources(VMSnapshot.class)
                    .inNamespace("vms")
                    .withName("web-1")
                    .delete();
            Map<String, String> less = new HashMap<>(order);
            less.remove(without);
            createCancelled("web-1", less);
            step();
            assertThat(status().getPhase()).as("without %s", without).isEqualTo(SnapshotPhase.Cancelled);
            assertThat(status().getNodeName()).isNull();
        }
    }

    private void createCancelled(String name, Map<String, String> annotations) {
        cluster.snapshot(name, SaveMode.ManagedSave);
        client.resources(VMSnapshot.class).inNamespace("vms").withName(name).edit(it -> {
            VMSnapshotSpec spec = it.getSpec();
            it.setSpec(new VMSnapshotSpec(
                    spec.vmName(), spec.mode(), null, null, null, spec.deadlineSeconds(), true, null, null, null));
            it.getMetadata().setAnnotations(new HashMap<>(annotations));
            return it;
        });
    }

    @Test
    void podThatWasReplacedIsNotDeleted() {
        client.resource(TestPods.running("web-pod", "u1").build()).create();
        cluster.snapshot("web-1", SaveMode.Save);
        step();
        step();
        agentSays(ConditionType.SAVED, true, "Committed");
        client.pods().inNamespace("vms").withName("web-pod").delete();
        client.resource(TestPods.running("web-pod", "u2").build()).create();

        step();

        assertThat(status().getPhase()).isEqualTo(SnapshotPhase.Ready);
        assertThat(client.pods().inNamespace("vms").list().getItems()).hasSize(1);
    }

    @Test
    void eachPodHasARecordOfItsOwnAndThatOfTheBoundOneIsRead() {
        client.resource(TestPods.running("web-pod", "u1").build()).create();
        cluster.snapshot("web-1", SaveMode.Checkpoint); // of which the age does not matter
        step();
        writer.answerStale(true);
        step();
        writer.answerStale(false);
        replacePod();

        step();

        assertThat(Objects.requireNonNull(status().getPod()).name()).isEqualTo("other-pod");
        assertThat(recordedPod()).isEqualTo("other-pod");
        assertThat(revisions()).hasSize(2).allSatisfy(revision -> assertThat(
                        revision.getMetadata().getOwnerReferences())
                .singleElement()
                .satisfies(owner -> assertThat(owner.getUid())
                        .isEqualTo(seen().getMetadata().getUid())));
    }

    /** Frozen after its look at the VM and before it records anything. */
    @Test
    void anOperatorThatWasFrozenUntilAnotherBoundTheNextPodTakesNoRecordOfThatAway() {
        client.resource(TestPods.running("web-pod", "u1").build()).create();
        cluster.snapshot("web-1", SaveMode.Checkpoint);
        step();
        AtomicBoolean thawed = new AtomicBoolean();
        SnapshotReconciler frozen = reconciler(() -> {
            if (!thawed.getAndSet(true)) {
                replacePod();
                step();
                assertThat(recordedPod()).isEqualTo("other-pod");
            }
            return cluster.clock().instant();
        });

        var _ = frozen.step("vms", "web-1");

        assertThat(thawed).isTrue();
        assertThat(Objects.requireNonNull(status().getPod()).name()).isEqualTo("other-pod");
        assertThat(recordedPod()).isEqualTo("other-pod");
    }

    private void replacePod() {
        client.pods().inNamespace("vms").withName("web-pod").delete();
        client.resource(TestPods.running("other-pod", "u2").build()).create();
    }

    private String recordedPod() {
        return new RecordedManifests(client)
                .read(seen())
                .orElseThrow()
                .pod()
                .getMetadata()
                .getName();
    }

    @Test
    void deadAgentIsToldAndForgottenWhenItReports() {
        client.resource(TestPods.running("web-pod", "u1").build()).create();
        cluster.snapshot("web-1", SaveMode.Save);
        step();
        cluster.later(41);
        step();
        assertThat(Conditions.reason(status().getConditions(), ConditionType.READY))
                .isEqualTo("StoreUnavailable");
        assertThat(status().getPhase()).isEqualTo(SnapshotPhase.Pending);

        cluster.renewLease();
        step();

        assertThat(status().getPhase()).isEqualTo(SnapshotPhase.Bound);
    }

    @Test
    void repeatedTroubleIsOneEvent() {
        cluster.snapshot("web-1", SaveMode.Save);
        for (int i = 0; i < 5; i++) {
            step();
        }
        assertThat(events()).singleElement().satisfies(event -> {
            assertThat(event.getReason()).isEqualTo("Waiting");
            assertThat(event.getCount()).isEqualTo(1);
        });
    }

    @Test
    void failureOfTheAgentIsTheEnd() {
        client.resource(TestPods.running("web-pod", "u1").build()).create();
        cluster.snapshot("web-1", SaveMode.Save);
        step();
        step();
        VMSnapshotStatus own = new VMSnapshotStatus();
        own.setFailure(new FailureStatus("MigrationBlocked", "Device x. The VM runs."));
        writer.news(StatusOwner.SNAPSHOT_AGENT, seen(), own);
        step();

        assertThat(status().getPhase()).isEqualTo(SnapshotPhase.Failed);
        assertThat(Conditions.find(status().getConditions(), ConditionType.STALLED))
                .hasValueSatisfying(stalled -> assertThat(stalled.getMessage()).isEqualTo("Device x. The VM runs."));
        assertNothingHappensAgain();
    }

    @ParameterizedTest
    @ValueSource(strings = {"velero.io/restore-name", "velero.io/backup-name", "openshift.io/restore-server-version"})
    void objectThatWasRestoredFromABackupIsNotCarriedOut(String mark) {
        client.resource(TestPods.running("web-pod", "u1").build()).create();
        VMSnapshot restored = cluster.snapshot("web-1", SaveMode.Save);
        if (mark.startsWith("velero")) {
            restored.getMetadata().setLabels(Map.of(mark, "monday"));
        } else {
            restored.getMetadata().setAnnotations(Map.of(mark, "1.34"));
        }
        client.resource(restored).update();
        step();

        assertThat(status().getPhase()).isEqualTo(SnapshotPhase.Failed);
        assertThat(Conditions.find(status().getConditions(), ConditionType.STALLED))
                .hasValueSatisfying(stalled -> {
                    assertThat(stalled.getReason()).isEqualTo("RestoredFromBackup");
                    assertThat(stalled.getMessage()).contains(mark, "nothing was done to VM web");
                });
        assertThat(status().getNodeName()).isNull();
        assertThat(seen().getMetadata().getFinalizers()).isEmpty();
        assertThat(revisions()).isEmpty();
        assertNothingHappensAgain();
    }

    @Test
    void statusThatWasRestoredWithTheObjectStopsNothing() {
        Pod pod = client.resource(TestPods.running("web-pod", "u1").build()).create();
        cluster.snapshot("web-1", SaveMode.ManagedSave);
        VMSnapshotStatus ofAnother = new VMSnapshotStatus();
        ofAnother.setPhase(SnapshotPhase.Saved);
        ofAnother.setNodeName("n1");
        ofAnother.setPod(VmPods.nameOf(pod));
        ofAnother.setManifestRevision("torpor-of-another");
        writer.news(StatusOwner.SNAPSHOT_OPERATOR, seen(), ofAnother);
        agentSays(ConditionType.SAVED, true, "Committed");
        step();

        assertThat(client.pods().inNamespace("vms").list().getItems()).hasSize(1);
        assertThat(ManagedImages.waits(seen())).as("holds no pod of the VM").isFalse();
        assertThat(events()).singleElement().satisfies(event -> assertThat(event.getMessage())
                .startsWith("RestoredFromBackup: its status was restored from a backup"));
        assertThat(status().getPhase()).isEqualTo(SnapshotPhase.Saved);

        ofAnother.setManifestRevision(RecordedManifests.nameFor(seen(), VmPods.nameOf(pod)));
        writer.news(StatusOwner.SNAPSHOT_OPERATOR, seen(), ofAnother);
        step();
        assertThat(client.pods().inNamespace("vms").list().getItems())
                .as("of its own")
                .isEmpty();
    }

    @Test
    void addressOfThePodIsKept() {
        client.resource(TestPods.running("web-pod", "u1")
                        .editStatus()
                        .withPodIP("192.0.2.7")
                        .endStatus()
                        .build())
                .create();
        cluster.snapshot("web-1", SaveMode.Checkpoint);
        step();
        step();
        assertThat(status().getPodIP()).isEqualTo("192.0.2.7");
        agentSays(ConditionType.SAVED, true, "Committed");
        step();
        assertThat(status().getPodIP()).isEqualTo("192.0.2.7");
    }

    private void assertNothingHappensAgain() {
        String version = seen().getMetadata().getResourceVersion();
        int events = events().size();
        int writes = writer.writes().size();
        step();
        step();
        assertThat(seen().getMetadata().getResourceVersion()).isEqualTo(version);
        assertThat(writer.writes()).hasSize(writes);
        assertThat(events()).hasSize(events);
    }

    private void agentSays(String type, boolean status, String reason) {
        Condition condition = Conditions.next(null, type, status, reason, "", 1L, Instant.EPOCH);
        VMSnapshotStatus own = new VMSnapshotStatus();
        own.setConditions(List.of(condition));
        writer.news(StatusOwner.SNAPSHOT_AGENT, seen(), own);
    }

    private List<String> ourWrites() {
        return writer.writes().stream()
                .filter(write -> write.startsWith(Torpor.OPERATOR_MANAGER))
                .toList();
    }

    private @Nullable Duration step() {
        return reconciler.step("vms", "web-1");
    }

    private VMSnapshot seen() {
        return Objects.requireNonNull(cluster.snapshot("web-1"));
    }

    private VMSnapshotStatus status() {
        return seen().getStatus();
    }

    private List<ControllerRevision> revisions() {
        return client.apps().controllerRevisions().inNamespace("vms").list().getItems();
    }

    private List<Event> events() {
        return client.v1().events().inNamespace("vms").list().getItems();
    }
}
