package dev.torpor.operator.snapshot;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import dev.torpor.api.status.MergeStatusWriter;
import dev.torpor.api.v1alpha1.NodeStore;
import dev.torpor.api.v1alpha1.NodeStoreStatus;
import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.TerminationSave;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotClass;
import dev.torpor.operator.event.EventRecorder;
import dev.torpor.operator.step.StepHook;
import dev.torpor.operator.vm.AdmissionLock;
import dev.torpor.operator.vm.RecordedManifests;
import dev.torpor.operator.vm.Stores;
import dev.torpor.operator.vm.TestCluster;
import dev.torpor.operator.vm.TestPods;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.dsl.base.CustomResourceDefinitionContext;
import io.fabric8.kubernetes.client.server.mock.EnableKubernetesMockClient;
import io.fabric8.kubernetes.client.server.mock.KubernetesMockServer;
import java.net.HttpURLConnection;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** From what an agent tells in its NodeStore to a bound VMSnapshot, on the client's mock server. */
@EnableKubernetesMockClient(crud = true, https = false)
@SuppressWarnings("NullAway.Init")
class TerminationReconcilerTest {
    private static final String UID_OF_NOBODY = "0a1b2c3d-0000-4000-8000-000000000000";

    private KubernetesMockServer server;
    private KubernetesClient client;
    private TestCluster cluster;
    private TerminationReconciler reconciler;
    private SnapshotReconciler snapshots;
    private String uid = UID_OF_NOBODY;

    @BeforeEach
    void startControllers() {
        server.expectCustomResource(CustomResourceDefinitionContext.fromCustomResourceType(VMSnapshot.class));
        server.expectCustomResource(CustomResourceDefinitionContext.fromCustomResourceType(VMRestore.class));
        server.expectCustomResource(CustomResourceDefinitionContext.fromCustomResourceType(VMSnapshotClass.class));
        server.expectCustomResource(CustomResourceDefinitionContext.fromCustomResourceType(NodeStore.class));
        cluster = new TestCluster(client);
        reconciler = new TerminationReconciler(client, StepHook.NONE);
        snapshots = new SnapshotReconciler(
                client,
                new MergeStatusWriter(client),
                new EventRecorder(client, cluster.clock()),
                new Stores(client, "torpor-system", cluster.clock()),
                new AdmissionLock(),
                cluster.clock(),
                StepHook.NONE);
    }

    @Test
    void aSaveOfAnAgentGetsASnapshotThatIsBoundToItsImage() {
        uid = client.resource(TestPods.running("web-pod", "").build())
                .create()
                .getMetadata()
                .getUid();
        tell(List.of(new TerminationSave("vms", "web", uid, null, false, null)));
        reconciler.step("n1");
        reconciler.step("n1");
        bind();

        assertThat(snapshot().getSpec().mode()).isEqualTo(SaveMode.ManagedSave);
        assertThat(snapshot().getMetadata().getLabels()).isNullOrEmpty();
        assertThat(snapshot().getStatus().getPhase()).isEqualTo(SnapshotPhase.Bound);
        assertThat(snapshot().getStatus().getNodeName()).isEqualTo("n1");
        assertThat(pod().uid()).isEqualTo(uid);
        assertThat(new RecordedManifests(client).read(snapshot()))
                .hasValueSatisfying(recorded ->
                        assertThat(recorded.pod().getMetadata().getName()).isEqualTo("web-pod"));
    }

    @Test
    void eachTryOfAPodsSaveGetsASnapshotOfItsOwn() {
        tell(List.of(new TerminationSave("vms", "web", uid, uid + "-a1", false, null)));
        reconciler.step("n1");
        tell(List.of(new TerminationSave("vms", "web", uid, uid + "-b2", true, null)));
        reconciler.step("n1");

        assertThat(client.resources(VMSnapshot.class).inNamespace("vms").list().getItems())
                .extracting(snapshot -> snapshot.getMetadata().getName(), snapshot -> snapshot.adoptedImage()
                        .orElseThrow())
                .containsExactlyInAnyOrder(
                        tuple("web-" + uid.substring(0, 8) + "-a1", uid + "-a1"),
                        tuple("web-" + uid.substring(0, 8) + "-b2", uid + "-b2"));
    }

    @Test
    void aSnapshotThatWasDeletedIsMadeAgainAsLongAsItsImageIsToldOf() {
        tell(List.of(new TerminationSave("vms", "web", uid, null, true, null)));
        assertThat(reconciler.step("n1")).isTrue();
        client.resource(snapshot()).delete();

        assertThat(reconciler.step("n1")).as("it looks again").isTrue();
        assertThat(snapshot()).isNotNull();
        tell(List.of());
        assertThat(reconciler.step("n1")).isFalse();
    }

    @Test
    void aSnapshotThatIsRefusedIsTriedAgain() {
        tell(List.of(new TerminationSave("vms", "web", uid, null, true, null)));
        server.expect()
                .post()
                .withPath("/apis/torpor.dev/v1alpha1/namespaces/vms/vmsnapshots")
                .andReturn(HttpURLConnection.HTTP_FORBIDDEN, "")
                .once();
        assertThat(reconciler.step("n1")).isTrue();
        assertThat(client.resources(VMSnapshot.class).inNamespace("vms").list().getItems())
                .isEmpty();
        assertThat(reconciler.step("n1")).isTrue();
        assertThat(snapshot()).isNotNull();
    }

    @Test
    void onceThePodIsGoneItIsBoundWithoutAManifest() {
        tell(List.of(new TerminationSave("vms", "web", uid, null, true, null)));
        reconciler.step("n1");
        bind();

        assertThat(snapshot().getStatus().getPhase()).isEqualTo(SnapshotPhase.Bound);
        assertThat(pod().name()).isNull();
        assertThat(pod().uid()).isEqualTo(uid);
        assertThat(new RecordedManifests(client).read(snapshot())).isEmpty();
    }

    @Test
    void whatAnOperatorRecordedThatDiedBeforeItBoundIsFoundThoughThePodIsGone() {
        tell(List.of(new TerminationSave("vms", "web", uid, null, true, null)));
        reconciler.step("n1");
        new RecordedManifests(client)
                .record(snapshot(), TestPods.running("web-pod", uid).build(), StepHook.NONE);
        bind();

        assertThat(pod().name()).isNull();
        assertThat(new RecordedManifests(client).read(snapshot())).isPresent();
    }

    @Test
    void whatIsNoUidOfAPodIsInNoName() {
        assertThat(RecordedManifests.nameFor(cluster.snapshot("s", SaveMode.Save), new ObjectName(null, "a/../b")))
                .doesNotContain("a/../b");
    }

    @Test
    void anImportGetsASnapshotThatSaysSo() {
        tell(List.of(new TerminationSave("vms", "web", uid, null, true, true)));
        reconciler.step("n1");
        bind();

        assertThat(snapshot().getStatus().getPhase()).isEqualTo(SnapshotPhase.Bound);
        assertThat(snapshot().getMetadata().getAnnotations())
                .containsEntry(Torpor.CREATED_BY_ANNOTATION, Torpor.CREATED_BY_IMPORT);
        assertThat(snapshot().getStatus().getConditions())
                .anyMatch(condition ->
                        condition.getMessage().equals("A file of libvirt's was imported on node n1 for VM web."));
    }

    @Test
    void anImportForAVmThatRunsIsRefused() {
        client.resource(TestPods.running("web-pod", "").build()).create();
        tell(List.of(new TerminationSave("vms", "web", uid, null, true, true)));
        reconciler.step("n1");
        bind();

        assertThat(snapshot().getStatus().getPhase()).isEqualTo(SnapshotPhase.Failed);
        assertThat(snapshot().getStatus().getConditions())
                .anyMatch(condition -> "VMRunning".equals(condition.getReason()));
    }

    @Test
    void anAgentCannotHaveAPodOfAnotherNodeStopped() {
        uid = client.resource(TestPods.running("web-pod", "")
                        .editSpec()
                        .withNodeName("n2")
                        .endSpec()
                        .build())
                .create()
                .getMetadata()
                .getUid();
        tell(List.of(new TerminationSave("vms", "web", uid, null, true, null)));
        reconciler.step("n1");
        bind();

        assertThat(snapshot().getStatus().getPhase()).isEqualTo(SnapshotPhase.Failed);
        assertThat(snapshot().getStatus().getNodeName()).isNull();
    }

    @Test
    void aSnapshotOfAnImageThatNoAgentTellsOfIsRefused() {
        tell(List.of(new TerminationSave("vms", "web", uid, null, true, null)));
        reconciler.step("n1");
        tell(List.of());
        bind();

        assertThat(snapshot().getStatus().getPhase()).isEqualTo(SnapshotPhase.Failed);
        assertThat(snapshot().getStatus().getConditions())
                .filteredOn(condition -> condition.getType().equals("Stalled"))
                .singleElement()
                .satisfies(condition -> assertThat(condition.getReason()).isEqualTo("ImageMissing"));
    }

    @Test
    void aNodeThatIsDownForLongIsWaitedForAsTheImageIsThere() {
        tell(List.of(new TerminationSave("vms", "web", uid, null, true, null)));
        reconciler.step("n1");
        cluster.later(Duration.ofHours(1).toSeconds());
        bind();
        assertThat(snapshot().getStatus().getPhase()).isEqualTo(SnapshotPhase.Pending);

        cluster.renewLease();
        bind();
        assertThat(snapshot().getStatus().getPhase()).isEqualTo(SnapshotPhase.Bound);
    }

    private ObjectName pod() {
        return Objects.requireNonNull(snapshot().getStatus().getPod());
    }

    private void bind() {
        for (int i = 0; i < 2; i++) {
            snapshots.step("vms", "web-" + uid.substring(0, 8));
        }
    }

    private VMSnapshot snapshot() {
        return client.resources(VMSnapshot.class)
                .inNamespace("vms")
                .withName("web-" + uid.substring(0, 8))
                .get();
    }

    private void tell(List<TerminationSave> saves) {
        client.resources(NodeStore.class).withName("n1").delete();
        NodeStore store = new NodeStore();
        store.setMetadata(new ObjectMetaBuilder().withName("n1").build());
        store.setStatus(new NodeStoreStatus("store", "node-uid", 1L, 1, "1", saves, null));
        client.resource(store).create();
    }
}
