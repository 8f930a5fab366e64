package dev.torpor.e2e.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.torpor.api.status.ApplyStatusWriter;
import dev.torpor.api.status.Conditions;
import dev.torpor.api.status.StatusOwner;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.Progress;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.e2e.cluster.ControlPlane;
import dev.torpor.e2e.cluster.ControlPlaneExtension;
import dev.torpor.e2e.cluster.TestNamespace;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** What a writer's silence and another's grip on its fields do, on a real API server. */
@Tag("api")
@ExtendWith(ControlPlaneExtension.class)
@SuppressWarnings("NullAway.Init")
class OperatorWritePathIT {
    private KubernetesClient client;
    private OperatorScene scene;
    private ApplyStatusWriter writer;

    @BeforeEach
    void createSnapshot(ControlPlane cluster, @TestNamespace String namespace) {
        client = cluster.client();
        scene = new OperatorScene(cluster, namespace);
        writer = new ApplyStatusWriter(client);
        scene.create("web-1", OperatorScene.save("web"));
    }

    @Test
    void whatIsLeftOutIsRemovedAndOnlyThat() {
        var _ = writer.transition(StatusOwner.SNAPSHOT_OPERATOR, scene.snapshot("web-1"), bound());
        var _ = writer.transition(StatusOwner.SNAPSHOT_AGENT, scene.snapshot("web-1"), progress(10));
        VMSnapshotStatus less = new VMSnapshotStatus();
        less.setPhase(SnapshotPhase.Saving);
        var _ = writer.transition(StatusOwner.SNAPSHOT_OPERATOR, scene.snapshot("web-1"), less);

        VMSnapshotStatus status = scene.snapshot("web-1").getStatus();
        assertThat(status.getNodeName()).isNull();
        assertThat(status.getConditions()).extracting("type").containsExactly("Saved");
        assertThat(status.getProgress()).isNotNull();
    }

    @Test
    void fieldThatSomebodyTookIsNotTakenBackSilently() {
        var _ = writer.transition(StatusOwner.SNAPSHOT_OPERATOR, scene.snapshot("web-1"), bound());
        client.resource(scene.snapshot("web-1")).editStatus(snapshot -> {
            snapshot.getStatus().setPhase(SnapshotPhase.Failed);
            return snapshot;
        });

        assertThatThrownBy(() -> writer.transition(StatusOwner.SNAPSHOT_OPERATOR, scene.snapshot("web-1"), bound()))
                .isInstanceOf(KubernetesClientException.class)
                .hasMessageContaining(".status.phase");
    }

    private static VMSnapshotStatus bound() {
        VMSnapshotStatus own = new VMSnapshotStatus();
        own.setPhase(SnapshotPhase.Bound);
        own.setNodeName("n1");
        own.setConditions(List.of(Conditions.next(null, ConditionType.READY, false, "Bound", "", 1L, Instant.EPOCH)));
        return own;
    }

    private static VMSnapshotStatus progress(int percent) {
        VMSnapshotStatus own = new VMSnapshotStatus();
        own.setProgress(new Progress(100L, (long) percent, percent, null, null, null, null));
        own.setConditions(List.of(Conditions.next(null, ConditionType.SAVED, false, "Saving", "", 1L, Instant.EPOCH)));
        return own;
    }
}
