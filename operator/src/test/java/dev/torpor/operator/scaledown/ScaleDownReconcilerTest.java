package dev.torpor.operator.scaledown;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.operator.step.StepHook;
import dev.torpor.operator.vm.TestCluster;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.dsl.base.CustomResourceDefinitionContext;
import io.fabric8.kubernetes.client.server.mock.EnableKubernetesMockClient;
import io.fabric8.kubernetes.client.server.mock.KubernetesMockServer;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The controller step by step on the client's mock server. */
@EnableKubernetesMockClient(crud = true, https = false)
@SuppressWarnings("NullAway.Init")
class ScaleDownReconcilerTest {
    private KubernetesMockServer server;
    private KubernetesClient client;
    private TestCluster cluster;
    private ScaleDownReconciler reconciler;

    @BeforeEach
    void startController() {
        server.expectCustomResource(CustomResourceDefinitionContext.fromCustomResourceType(VMSnapshot.class));
        cluster = new TestCluster(client);
        reconciler = new ScaleDownReconciler(client, StepHook.NONE);
    }

    @ParameterizedTest
    @EnumSource(
            value = SaveMode.class,
            names = {"Save", "ManagedSave"})
    void aNodeIsKeptUntilTheOnlyMemoryOfItsVmIsConsumed(SaveMode mode) {
        saved(mode, nodeUid());
        reconciler.step("n1");
        assertThat(annotations())
                .containsKeys(
                        "cluster-autoscaler.kubernetes.io/scale-down-disabled",
                        "karpenter.sh/do-not-disrupt",
                        Torpor.HELD_BY_ANNOTATION);

        setImage("Consumed");
        reconciler.step("n1");
        assertThat(annotations()).isEmpty();
    }

    @Test
    void aCheckpointKeepsNoNode() {
        saved(SaveMode.Checkpoint, nodeUid());
        reconciler.step("n1");
        assertThat(annotations()).isEmpty();
    }

    @Test
    void anImageOfANodeThatHadTheNameBeforeKeepsNoNode() {
        saved(SaveMode.ManagedSave, "uid-of-the-node-before");
        reconciler.step("n1");
        assertThat(annotations()).isEmpty();
    }

    @Test
    void aNodeThatIsGoneIsNoTrouble() {
        reconciler.step("n2");
        assertThat(annotations()).isEmpty();
    }

    private void saved(SaveMode mode, String nodeUid) {
        cluster.snapshot("web-1", mode);
        client.resources(VMSnapshot.class).inNamespace("vms").withName("web-1").edit(snapshot -> {
            VMSnapshotStatus status = new VMSnapshotStatus();
            status.setNodeName("n1");
            status.setNodeUID(nodeUid);
            status.setConditions(
                    List.of(Conditions.next(null, ConditionType.SAVED, true, "Committed", "", 1L, Instant.EPOCH)));
            snapshot.setStatus(status);
            return snapshot;
        });
    }

    private void setImage(String reason) {
        client.resources(VMSnapshot.class).inNamespace("vms").withName("web-1").edit(snapshot -> {
            snapshot.getStatus()
                    .setConditions(List.of(
                            Conditions.next(null, ConditionType.SAVED, true, "Committed", "", 1L, Instant.EPOCH),
                            Conditions.next(
                                    null, ConditionType.IMAGE_AVAILABLE, false, reason, "", 1L, Instant.EPOCH)));
            return snapshot;
        });
    }

    private String nodeUid() {
        return client.nodes().withName("n1").require().getMetadata().getUid();
    }

    private Map<String, String> annotations() {
        Map<String, String> found = new HashMap<>(Objects.requireNonNullElse(
                client.nodes().withName("n1").require().getMetadata().getAnnotations(), Map.of()));
        // The mock server keeps what a merge patch takes away, as null; a real one does not.
        found.values().removeIf(Objects::isNull);
        return found;
    }
}
