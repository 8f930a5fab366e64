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
import dev.torpor.api.v1alpha1.VMSnapshotClassSpec;
import dev.torpor.api.v1alpha1.VMSnapshotSpec;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.api.v1alpha1.VolumeSnapshotName;
import dev.torpor.api.v1alpha1.VolumeSnapshotStatus;
import dev.torpor.api.v1alpha1.VolumeSnapshotsSpec;
import dev.torpor.operator.event.EventRecorder;
import dev.torpor.operator.step.Step;
import dev.torpor.operator.step.StepHook;
import dev.torpor.operator.vm.AdmissionLock;
import dev.torpor.operator.vm.Stores;
import dev.torpor.operator.vm.TestCluster;
import dev.torpor.operator.vm.TestPods;
import io.fabric8.kubernetes.api.model.APIResourceBuilder;
import io.fabric8.kubernetes.api.model.APIResourceListBuilder;
import io.fabric8.kubernetes.api.model.GenericKubernetesResource;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.api.model.PersistentVolumeClaimBuilder;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.StatusBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.dsl.base.CustomResourceDefinitionContext;
import io.fabric8.kubernetes.client.dsl.base.ResourceDefinitionContext;
import io.fabric8.kubernetes.client.server.mock.EnableKubernetesMockClient;
import io.fabric8.kubernetes.client.server.mock.KubernetesMockServer;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Checkpoints with VolumeSnapshots, step by step on the client's mock server; the test plays agent and storage. */
@EnableKubernetesMockClient(crud = true, https = false)
@SuppressWarnings("NullAway.Init")
class VolumeSnapshotsTest {
    private static final ResourceDefinitionContext KIND = new ResourceDefinitionContext.Builder()
            .withGroup("snapshot.storage.k8s.io")
            .withVersion("v1")
            .withKind("VolumeSnapshot")
            .withPlural("volumesnapshots")
            .withNamespaced(true)
            .build();
    private static final String FIRST_PAUSE = "2026-01-02T03:04:05.678Z";
    private static final String CUT_AT = "2026-01-02T03:04:06Z";

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
        server.expectCustomResource(new CustomResourceDefinitionContext.Builder()
                .withGroup(KIND.getGroup())
                .withVersion(KIND.getVersion())
                .withKind(KIND.getKind())
                .withPlural(KIND.getPlural())
                .withScope("Namespaced")
                .build());
        cluster = new TestCluster(client);
        writer = new MergeStatusWriter(client);
        reconciler = reconciler(StepHook.NONE);
    }

    private SnapshotReconciler reconciler(StepHook steps) {
        return new SnapshotReconciler(
                client,
                writer,
                new EventRecorder(client, cluster.clock()),
                new Stores(client, "torpor-system", cluster.clock()),
                new AdmissionLock(),
                cluster.clock(),
                steps);
    }

    @Test
    void nothingIsCutBeforeThePause() {
        bound(new VolumeSnapshotsSpec("csi", null));
        assertThat(status().getVolumeSnapshots()).containsExactly(VolumeSnapshotStatus.planned("data"));
        agentSays(new VMSnapshotStatus());
        step();
        assertThat(cuts()).isEmpty();
    }

    @Test
    void whatIsCutInThePauseIsTold() {
        bound(new VolumeSnapshotsSpec("csi", null));
        pausedAt(FIRST_PAUSE);
        step();
        String name = nameAt(FIRST_PAUSE);
        assertThat(cuts()).singleElement().satisfies(cut -> {
            assertThat(cut.getMetadata().getName()).isEqualTo(name);
            assertThat((String) cut.get("spec", "source", "persistentVolumeClaimName"))
                    .isEqualTo("data");
            assertThat((String) cut.get("spec", "volumeSnapshotClassName")).isEqualTo("csi");
            assertThat(cut.getMetadata().getLabels()).containsExactly(Map.entry(Torpor.VM_LABEL, "web"));
            assertThat(cut.getMetadata().getOwnerReferences()).singleElement().satisfies(owner -> assertThat(
                            owner.getUid())
                    .isEqualTo(seen().getMetadata().getUid()));
        });
        assertThat(step()).as("it is looked at soon").isEqualTo(Duration.ofMillis(250));
        assertThat(status().getVolumeSnapshots())
                .containsExactly(new VolumeSnapshotStatus("data", name, null, null, null));

        storageSays(name, Map.of("creationTime", CUT_AT, "readyToUse", false));
        assertThat(step()).isEqualTo(Duration.ofSeconds(10));
        assertThat(status().getVolumeSnapshots())
                .containsExactly(new VolumeSnapshotStatus("data", name, CUT_AT, false, null));

        saved();
        assertThat(step()).as("it is not ready for use").isEqualTo(Duration.ofSeconds(10));
        assertThat(status().getPhase()).isEqualTo(SnapshotPhase.Ready);
        storageSays(name, Map.of("creationTime", CUT_AT, "readyToUse", true));
        assertThat(step()).isEqualTo(Duration.ofMinutes(1));
        assertThat(status().getVolumeSnapshots())
                .containsExactly(new VolumeSnapshotStatus("data", name, CUT_AT, true, null));
    }

    @Test
    void nothingIsCutThatStatusDoesNotName() {
        bound(new VolumeSnapshotsSpec(null, null));
        pausedAt(FIRST_PAUSE);
        assertThat(cuts()).isEmpty();
        assertThat(status().getVolumeSnapshots())
                .containsExactly(new VolumeSnapshotStatus("data", nameAt(FIRST_PAUSE), null, null, null));
        assertThat(step()).as("it is looked at soon").isEqualTo(Duration.ofMillis(250));
        assertThat(cuts()).hasSize(1);
    }

    @Test
    void whatWasCutWhileTheCheckpointFailedGoes() {
        bound(new VolumeSnapshotsSpec(null, null));
        pausedAt(FIRST_PAUSE);
        // The agent gives up just after the operator's look, whose status is then refused as of an older version.
        VMSnapshotStatus own = new VMSnapshotStatus();
        own.setFailure(new FailureStatus("VolumeSnapshotFailed", "The VM runs."));
        reconciler = reconciler(new StepHook() {
            @Override
            public void before(Step step) {}

            @Override
            public void after(Step step) {
                if (step == Step.SNAPSHOT_CUT_DISK) {
                    agentSays(own);
                }
            }
        });
        step();
        assertThat(cuts()).hasSize(1);
        step();
        assertThat(cuts()).isEmpty();
    }

    @Test
    void whatWasCutInAnEarlierPauseGoes() {
        bound(new VolumeSnapshotsSpec(null, null));
        pausedAt(FIRST_PAUSE);
        step();
        storageSays(nameAt(FIRST_PAUSE), Map.of("creationTime", CUT_AT));
        step();

        pausedAt("2026-01-02T03:09:00Z");
        step();
        step();
        assertThat(cuts())
                .extracting(cut -> cut.getMetadata().getName())
                .containsExactly(nameAt("2026-01-02T03:09:00Z"));
        assertThat(Objects.requireNonNull(status().getVolumeSnapshots())
                        .getFirst()
                        .creationTime())
                .isNull();
    }

    @Test
    void whatWasCutForACheckpointThatFailedGoes() {
        bound(new VolumeSnapshotsSpec(null, null));
        pausedAt(FIRST_PAUSE);
        step();
        step();
        VMSnapshotStatus own = new VMSnapshotStatus();
        own.setFailure(new FailureStatus("VolumeSnapshotFailed", "The VM runs."));
        agentSays(own);
        step();
        assertThat(cuts()).isEmpty();
        assertThat(status().getPhase()).isEqualTo(SnapshotPhase.Failed);
        assertThat(status().getVolumeSnapshots()).containsExactly(VolumeSnapshotStatus.planned("data"));
    }

    @Test
    void memoryThatAnOlderAgentSavedAloneIsNotRestorable() {
        bound(new VolumeSnapshotsSpec(null, null));
        saved();
        step();
        assertThat(Conditions.find(status().getConditions(), ConditionType.READY))
                .hasValueSatisfying(ready -> {
                    assertThat(ready.getStatus()).isEqualTo("False");
                    assertThat(ready.getReason()).isEqualTo("VolumeSnapshotFailed");
                });
    }

    @Test
    void errorOfTheStorageIsTold() {
        bound(new VolumeSnapshotsSpec(null, null));
        pausedAt(FIRST_PAUSE);
        step();
        storageSays(nameAt(FIRST_PAUSE), Map.of("error", Map.of("message", "the pool is full")));
        step();
        assertThat(Objects.requireNonNull(status().getVolumeSnapshots())
                        .getFirst()
                        .error())
                .isEqualTo("the pool is full");
    }

    @Test
    void refusalOfTheApiServerIsTold() {
        bound(new VolumeSnapshotsSpec(null, null));
        server.expect()
                .post()
                .withPath("/apis/snapshot.storage.k8s.io/v1/namespaces/vms/volumesnapshots")
                .andReturn(
                        403,
                        new StatusBuilder()
                                .withCode(403)
                                .withMessage("no more than 5 are allowed")
                                .build())
                .once();
        pausedAt(FIRST_PAUSE);
        step();
        assertThat(status().getVolumeSnapshots())
                .containsExactly(new VolumeSnapshotStatus(
                        "data",
                        nameAt(FIRST_PAUSE),
                        null,
                        null,
                        "the API server refused VolumeSnapshot " + nameAt(FIRST_PAUSE)
                                + ": no more than 5 are allowed"));
    }

    @Test
    void cutOfAnotherClaimIsNotTakenForThisOne() {
        bound(new VolumeSnapshotsSpec(null, null));
        GenericKubernetesResource other = new GenericKubernetesResource();
        other.setApiVersion("snapshot.storage.k8s.io/v1");
        other.setKind("VolumeSnapshot");
        other.setMetadata(new ObjectMetaBuilder()
                .withNamespace("vms")
                .withName(nameAt(FIRST_PAUSE))
                .build());
        other.setAdditionalProperty("spec", Map.of("source", Map.of("persistentVolumeClaimName", "other")));
        other.setAdditionalProperty("status", Map.of("creationTime", CUT_AT));
        client.genericKubernetesResources(KIND).resource(other).create();
        pausedAt(FIRST_PAUSE);
        step();
        assertThat(Objects.requireNonNull(status().getVolumeSnapshots()).getFirst())
                .satisfies(cut -> {
                    assertThat(cut.creationTime()).isNull();
                    assertThat(cut.error()).isEqualTo("VolumeSnapshot " + nameAt(FIRST_PAUSE) + " is of claim other");
                });
    }

    @Test
    void classSaysThatCheckpointsTakeThem() {
        VMSnapshotClass ofVms = new VMSnapshotClass();
        ofVms.setMetadata(new ObjectMetaBuilder().withName("with-disks").build());
        ofVms.setSpec(
                new VMSnapshotClassSpec(null, null, null, null, null, null, null, new VolumeSnapshotsSpec("slow", 30)));
        client.resource(ofVms).create();
        served();
        pod(true);
        snapshot("with-disks", null);
        step();
        step();
        pausedAt(FIRST_PAUSE);
        step();
        assertThat(cuts()).singleElement().satisfies(cut -> assertThat(
                        (String) cut.get("spec", "volumeSnapshotClassName"))
                .isEqualTo("slow"));
    }

    @Test
    void clusterThatDoesNotHaveThemIsToldSo() {
        server.expect()
                .get()
                .withPath("/apis/snapshot.storage.k8s.io/v1")
                .andReturn(404, new StatusBuilder().withCode(404).build())
                .always();
        pod(true);
        snapshot(null, new VolumeSnapshotsSpec(null, null));
        step();
        step();
        assertRefused("VolumeSnapshots are wanted of VM web, and this cluster does not have them");
    }

    @Test
    void podWithoutClaimsIsToldSo() {
        served();
        pod(false);
        snapshot(null, new VolumeSnapshotsSpec(null, null));
        step();
        step();
        assertRefused("spec.volumeSnapshots is set, and the pod of VM web has no PersistentVolumeClaims");
    }

    private void assertRefused(String message) {
        assertThat(Conditions.find(status().getConditions(), ConditionType.STALLED))
                .hasValueSatisfying(stalled -> {
                    assertThat(stalled.getReason()).isEqualTo("VolumeSnapshotsUnavailable");
                    assertThat(stalled.getMessage()).startsWith(message).endsWith("Nothing was done to the VM.");
                });
        assertThat(status().getNodeName()).isNull();
    }

    private void bound(VolumeSnapshotsSpec wanted) {
        served();
        pod(true);
        snapshot(null, wanted);
        step();
        step();
        assertThat(status().getPhase()).isEqualTo(SnapshotPhase.Bound);
    }

    private void served() {
        server.expect()
                .get()
                .withPath("/apis/snapshot.storage.k8s.io/v1")
                .andReturn(
                        200,
                        new APIResourceListBuilder()
                                .withGroupVersion("snapshot.storage.k8s.io/v1")
                                .addToResources(new APIResourceBuilder()
                                        .withName("volumesnapshots")
                                        .withKind("VolumeSnapshot")
                                        .withNamespaced(true)
                                        .build())
                                .build())
                .always();
    }

    private void pod(boolean claim) {
        PodBuilder pod = TestPods.running("web-pod", "u1");
        if (claim) {
            client.resource(new PersistentVolumeClaimBuilder()
                            .withNewMetadata()
                            .withNamespace("vms")
                            .withName("data")
                            .endMetadata()
                            .build())
                    .create();
            pod = pod.editSpec()
                    .addNewVolume()
                    .withName("data")
                    .withNewPersistentVolumeClaim()
                    .withClaimName("data")
                    .endPersistentVolumeClaim()
                    .endVolume()
                    .endSpec();
        }
        client.resource(pod.build()).create();
    }

    private void snapshot(@Nullable String className, @Nullable VolumeSnapshotsSpec wanted) {
        VMSnapshot snapshot = new VMSnapshot();
        snapshot.setMetadata(
                new ObjectMetaBuilder().withNamespace("vms").withName("web-1").build());
        snapshot.setSpec(new VMSnapshotSpec(
                "web", SaveMode.Checkpoint, className, null, null, 300, null, null, null, null, wanted));
        client.resource(snapshot).create();
    }

    private String nameAt(String pausedAt) {
        return VolumeSnapshotName.of(seen().getMetadata().getUid(), "data", pausedAt);
    }

    private void pausedAt(String time) {
        VMSnapshotStatus own = new VMSnapshotStatus();
        own.setPausedAt(time);
        agentSays(own);
        step(); // names are told before anything is made
    }

    private void saved() {
        VMSnapshotStatus own = new VMSnapshotStatus();
        own.setConditions(List.of(
                Conditions.next(null, ConditionType.SAVED, true, "Committed", "", 1L, Instant.EPOCH),
                Conditions.next(null, ConditionType.IMAGE_AVAILABLE, true, "Committed", "", 1L, Instant.EPOCH)));
        agentSays(own);
    }

    private void agentSays(VMSnapshotStatus own) {
        writer.news(StatusOwner.SNAPSHOT_AGENT, seen(), own);
    }

    private void storageSays(String name, Map<String, Object> status) {
        client.genericKubernetesResources(KIND)
                .inNamespace("vms")
                .withName(name)
                .edit(cut -> {
                    cut.setAdditionalProperty("status", status);
                    return cut;
                });
    }

    private List<GenericKubernetesResource> cuts() {
        return client.genericKubernetesResources(KIND).inNamespace("vms").list().getItems();
    }

    private VMSnapshot seen() {
        return Objects.requireNonNull(cluster.snapshot("web-1"));
    }

    private VMSnapshotStatus status() {
        return seen().getStatus();
    }

    private @Nullable Duration step() {
        return reconciler.step("vms", "web-1");
    }
}
