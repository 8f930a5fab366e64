package dev.torpor.e2e.api;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.status.ApplyStatusWriter;
import dev.torpor.api.status.Conditions;
import dev.torpor.api.status.StatusOwner;
import dev.torpor.api.status.WriteResult;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotSpec;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.e2e.cluster.ControlPlane;
import dev.torpor.e2e.cluster.ControlPlaneExtension;
import dev.torpor.e2e.cluster.TestNamespace;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** The write path of operator and agent, by server-side apply without force. */
@Tag("api")
@ExtendWith(ControlPlaneExtension.class)
@SuppressWarnings("NullAway.Init")
class StatusWriterIT {
    private static final Instant NOON = Instant.parse("2026-11-23T12:00:00Z");

    private KubernetesClient client;
    private ApplyStatusWriter writer;
    private VMSnapshot created;

    @BeforeEach
    void createSnapshot(ControlPlane cluster, @TestNamespace String namespace) {
        client = cluster.client();
        writer = new ApplyStatusWriter(client);
        VMSnapshot snapshot = new VMSnapshot();
        snapshot.setMetadata(new ObjectMetaBuilder()
                .withNamespace(namespace)
                .withName("snap")
                .build());
        snapshot.setSpec(new VMSnapshotSpec("web", null, null, null, null, null, null, null, null, null));
        created = client.resource(snapshot).create();
    }

    @Test
    void operatorAndAgentKeepTheirOwnParts() {
        VMSnapshot bound = written(writer.transition(StatusOwner.SNAPSHOT_OPERATOR, created, bound()));
        VMSnapshot saved = written(writer.transition(StatusOwner.SNAPSHOT_AGENT, bound, saving(4)));

        assertThat(saved.getStatus().getNodeName()).isEqualTo("n1");
        assertThat(saved.getStatus().getChannels()).isEqualTo(4);
        assertThat(Conditions.isFalse(saved.getStatus().getConditions(), ConditionType.READY))
                .isTrue();
        assertThat(Conditions.isFalse(saved.getStatus().getConditions(), ConditionType.SAVED))
                .isTrue();
    }

    @Test
    void unchangedStatusIsNotWritten() {
        VMSnapshot bound = written(writer.transition(StatusOwner.SNAPSHOT_OPERATOR, created, bound()));

        assertThat(writer.transition(StatusOwner.SNAPSHOT_OPERATOR, bound, bound()))
                .isInstanceOf(WriteResult.Unchanged.class);
        assertThat(now().getMetadata().getResourceVersion())
                .isEqualTo(bound.getMetadata().getResourceVersion());
    }

    @Test
    void transitionFromAnOldStateIsStale() {
        var _ = written(writer.transition(StatusOwner.SNAPSHOT_OPERATOR, created, bound()));

        assertThat(writer.transition(StatusOwner.SNAPSHOT_AGENT, created, saving(4)))
                .isInstanceOf(WriteResult.Stale.class);
        assertThat(now().getStatus().getChannels()).isNull();
    }

    @Test
    void newsFromAnOldStateArriveWithoutHarm() {
        var _ = written(writer.transition(StatusOwner.SNAPSHOT_OPERATOR, created, bound()));

        VMSnapshot after = written(writer.news(StatusOwner.SNAPSHOT_AGENT, created, saving(2)));

        assertThat(after.getStatus().getChannels()).isEqualTo(2);
        assertThat(after.getStatus().getPhase()).isEqualTo(SnapshotPhase.Bound);
    }

    @Test
    void objectOfTheSameNameIsNotWritten() {
        client.resource(created).delete();
        VMSnapshot again = new VMSnapshot();
        again.setMetadata(new ObjectMetaBuilder()
                .withNamespace(created.getMetadata().getNamespace())
                .withName("snap")
                .build());
        again.setSpec(created.getSpec());
        var _ = client.resource(again).create();

        assertThat(writer.news(StatusOwner.SNAPSHOT_AGENT, created, saving(4))).isInstanceOf(WriteResult.Stale.class);
        assertThat(now().getStatus())
                .satisfiesAnyOf(status -> assertThat(status).isNull(), status -> assertThat(status.getChannels())
                        .isNull());
    }

    @Test
    void deletedObjectIsGone() {
        client.resource(created).delete();

        assertThat(writer.transition(StatusOwner.SNAPSHOT_AGENT, created, saving(4)))
                .isInstanceOf(WriteResult.Gone.class);
    }

    private VMSnapshot now() {
        return client.resource(created).get();
    }

    private static VMSnapshot written(WriteResult<VMSnapshot> result) {
        assertThat(result).isInstanceOf(WriteResult.Written.class);
        return ((WriteResult.Written<VMSnapshot>) result).object();
    }

    private static VMSnapshotStatus bound() {
        VMSnapshotStatus status = new VMSnapshotStatus();
        status.setObservedGeneration(1L);
        status.setNodeName("n1");
        status.setPhase(SnapshotPhase.Bound);
        status.setConditions(
                List.of(Conditions.next(null, ConditionType.READY, false, "Saving", "web is being saved", 1L, NOON)));
        return status;
    }

    private static VMSnapshotStatus saving(int channels) {
        VMSnapshotStatus status = new VMSnapshotStatus();
        status.setChannels(channels);
        status.setConditions(List.of(Conditions.next(null, ConditionType.SAVED, false, "Saving", "37%", 1L, NOON)));
        return status;
    }
}
