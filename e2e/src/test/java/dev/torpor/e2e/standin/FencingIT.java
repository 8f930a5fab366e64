package dev.torpor.e2e.standin;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.e2e.cluster.StandInPod;
import dev.torpor.e2e.guest.Tick;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Rows of the table in docs/managed-save.md: what dies while an image waits, or on the way back. */
@Tag("standin")
class FencingIT {
    @Test
    void aContainerThatIsRestartedInTheSavedPodNeverBoots() throws Exception {
        try (StandInCluster cluster = new StandInCluster()) {
            StandInPod old = cluster.startVm("web", 160, 8);
            cluster.restartAgent("after SAVE_COMMIT");
            cluster.snapshot("saved", "web", "mode: ManagedSave");
            cluster.awaitAgentDeath();
            Tick last = old.lastTick().orElseThrow();
            old.killContainer();
            await("the same pod is started again")
                    .atMost(StandInCluster.PATIENCE)
                    .until(() -> old.starts() == 2 && old.asks() == 2);
            cluster.restartAgent("never");

            cluster.awaitRunning("saved-start-1");
            StandInPod next = cluster.pod("web");
            assertThat(next.uid()).isNotEqualTo(old.uid());
            StandInCluster.awaitGoingOn(next, last);
            assertThat(old.nonces()).containsExactly(last.nonce());
            assertThat(next.nonces()).containsExactly(last.nonce());
        }
    }

    @Test
    void aQemuThatDiesBeforeTheHandOverIsFollowedByAnotherThatGetsTheSameMemory() throws Exception {
        try (StandInCluster cluster = new StandInCluster()) {
            StandInPod old = cluster.startVm("web", 160, 8);
            Tick last = old.lastTick().orElseThrow();
            cluster.restartAgent("before RESTORE_HAND_OVER");
            cluster.snapshot("saved", "web", "mode: ManagedSave");
            cluster.awaitAgentDeath();
            StandInPod next = cluster.pod("web");
            assertThat(next.uid()).isNotEqualTo(old.uid());
            next.killContainer();
            cluster.restartAgent("never");

            cluster.awaitSnapshot("saved", status -> status.getPhase() == SnapshotPhase.Consumed);
            StandInPod running = cluster.pod("web");
            StandInCluster.awaitGoingOn(running, last);
            assertThat(running.nonces()).containsExactly(last.nonce());
        }
    }

    @Test
    void aQemuThatDiesAfterTheHandOverIsACrashAndItsContainerBoots() throws Exception {
        try (StandInCluster cluster = new StandInCluster()) {
            Tick last = cluster.startVm("web", 160, 8).lastTick().orElseThrow();
            cluster.snapshot("saved", "web", "mode: ManagedSave");
            cluster.awaitRunning("saved-start-1");
            StandInPod pod = cluster.pod("web");
            StandInCluster.awaitGoingOn(pod, last);
            pod.killContainer();
            pod.awaitTick(tick -> !tick.nonce().equals(last.nonce()));
            assertThat(pod.starts()).isEqualTo(2);
            assertThat(cluster.snapshot("saved").getStatus().getPhase()).isEqualTo(SnapshotPhase.Consumed);
            assertThat(Conditions.isTrue(cluster.snapshot("saved").getStatus().getConditions(), ConditionType.READY))
                    .isFalse();
        }
    }
}
