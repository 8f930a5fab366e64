package dev.torpor.operator.gate;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.status.MergeStatusWriter;
import dev.torpor.api.status.StatusOwner;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.NodeStore;
import dev.torpor.api.v1alpha1.NodeStoreStatus;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.TerminationSave;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.operator.event.EventRecorder;
import dev.torpor.operator.step.StepHook;
import dev.torpor.operator.vm.PodGate;
import dev.torpor.operator.vm.TestCluster;
import dev.torpor.operator.vm.TestPods;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.dsl.base.CustomResourceDefinitionContext;
import io.fabric8.kubernetes.client.server.mock.EnableKubernetesMockClient;
import io.fabric8.kubernetes.client.server.mock.KubernetesMockServer;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Which held pods are let go, on the client's mock server. */
@EnableKubernetesMockClient(crud = true, https = false)
@SuppressWarnings("NullAway.Init")
class GateReconcilerTest {
    private KubernetesMockServer server;
    private KubernetesClient client;
    private TestCluster cluster;
    private GateReconciler reconciler;

    @BeforeEach
    void startController() {
        server.expectCustomResource(CustomResourceDefinitionContext.fromCustomResourceType(VMSnapshot.class));
        cluster = new TestCluster(client);
        reconciler = new GateReconciler(client, new EventRecorder(client, cluster.clock()), StepHook.NONE);
    }

    @Test
    void podWhoseImageWaitsIsHeld() {
        waitingImage();
        client.resource(TestPods.held(TestPods.running("web-pod", "u2"))).create();

        assertThat(reconciler.step("vms", "web-pod")).isTrue();

        assertThat(pods()).singleElement().matches(PodGate::holds);
    }

    @Test
    void podOfAControllerIsDeletedWhenNoImageWaits() {
        client.resource(TestPods.held(TestPods.ofStatefulSet("web-0", "u2"))).create();

        assertThat(reconciler.step("vms", "web-0")).isFalse();

        assertThat(pods()).isEmpty();
    }

    @Test
    void barePodIsLetGoWhenNoImageWaits() {
        client.resource(TestPods.held(TestPods.running("web-pod", "u2"))).create();

        assertThat(reconciler.step("vms", "web-pod")).isFalse();

        assertThat(pods()).singleElement().matches(pod -> !PodGate.holds(pod));
    }

    @Test
    void podThatIsNotHeldIsLeftAlone() {
        client.resource(TestPods.ofStatefulSet("web-0", "u2").build()).create();

        assertThat(reconciler.step("vms", "web-0")).isFalse();

        assertThat(pods()).hasSize(1);
    }

    private void waitingImage() {
        VMSnapshot snapshot = cluster.snapshot("web-1", SaveMode.ManagedSave);
        VMSnapshotStatus own = new VMSnapshotStatus();
        own.setConditions(
                List.of(Conditions.next(null, ConditionType.SAVED, true, "Committed", "", 1L, Instant.EPOCH)));
        new MergeStatusWriter(client).news(StatusOwner.SNAPSHOT_AGENT, snapshot, own);
        VMSnapshotStatus bound = new VMSnapshotStatus();
        bound.setNodeName("n1");
        new MergeStatusWriter(client).news(StatusOwner.SNAPSHOT_OPERATOR, snapshot, bound);
    }

    @Test
    void podWhoseVmAnAgentSavedByItselfIsHeldBeforeThereIsASnapshot() {
        NodeStore store = new NodeStore();
        store.setMetadata(new ObjectMetaBuilder().withName("n1").build());
        store.setStatus(new NodeStoreStatus(
                "store", "uid", 1L, 1, "1", List.of(new TerminationSave("vms", "web", "u1", null, true, null)), null));
        client.resource(store).create();
        client.resource(TestPods.held(TestPods.ofStatefulSet("web-0", "u2"))).create();

        assertThat(reconciler.step("vms", "web-0")).isTrue();

        assertThat(pods()).singleElement().matches(PodGate::holds);
    }

    private List<Pod> pods() {
        return client.pods().inNamespace("vms").list().getItems();
    }
}
