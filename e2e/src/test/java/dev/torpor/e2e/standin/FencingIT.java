package dev.torpor.e2e.standin;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.e2e.cluster.StandInNode;
import dev.torpor.e2e.cluster.StandInPod;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.failure.FailureReason;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Rows of the table in docs/managed-save.md: what dies while an image waits, or on the way back. */
@Tag("standin")
class FencingIT {
    @Test
    void containersThatAreRestartedNeverBootTheSavedVmNorDoesItsLauncher() throws Exception {
        try (StandInCluster cluster = new StandInCluster()) {
            StandInPod old = cluster.startVm("web", 160, 8);
            cluster.restartAgent("after SAVE_COMMIT");
            cluster.snapshot("saved", "web", "mode: ManagedSave");
            cluster.awaitAgentDeath();
            Tick last = old.lastTick().orElseThrow();
            old.killContainer();
            awaitStarts(old, 2);
            old.killContainer(); // its launcher, which waits
            awaitStarts(old, 3);
            cluster.restartAgent("before START_ANSWER");

            cluster.awaitAgentDeath();
            StandInPod next = cluster.pod("web");
            assertThat(next.uid()).isNotEqualTo(old.uid());
            next.killContainer(); // its launcher, about to be told to become the QEMU that is fed
            awaitStarts(next, 2);
            next.freeze();
            cluster.restartAgent("wait after START_ANSWER");
            cluster.awaitAgentWaiting();
            next.killContainer(); // its launcher, which was told and did not hear it
            awaitStarts(next, 3);
            cluster.letAgentGoOn();
            cluster.awaitAgentWaiting(); // it answers the next one too
            cluster.letAgentGoOn();

            cluster.awaitSnapshot("saved", status -> status.getPhase() == SnapshotPhase.Consumed);
            StandInPod running = cluster.pod("web");
            StandInCluster.awaitGoingOn(running, last);
            assertThat(old.nonces()).containsExactly(last.nonce());
            assertThat(running.nonces()).containsExactly(last.nonce());
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
    void podsThatAreMadeByHandNeitherBootTheSavedVmNorGetItsMemory() throws Exception {
        // Without webhook and policies: nobody but operator and agents is in the way.
        try (StandInCluster cluster = new StandInCluster()) {
            StandInPod old = cluster.startVm("web", 160, 8);
            StandInNode other = cluster.addNode("stand-in-2");
            cluster.snapshot("saved", "web", "mode: ManagedSave", "resume: Manual");
            cluster.awaitReady("saved");
            Tick last = old.lastTick().orElseThrow();
            await("the next pod, held by the operator itself")
                    .atMost(StandInCluster.PATIENCE)
                    .until(() -> cluster.gates("web").equals(List.of(Torpor.SAVED_GATE)));

            StandInPod elsewhere = cluster.startByHand("elsewhere", "web", other.name());
            StandInPod beside = cluster.startByHand("beside", "web", StandInCluster.NODE);
            awaitSaid(elsewhere, "memory of this VM is saved on node " + StandInCluster.NODE + " (VMSnapshot saved)");
            awaitSaid(beside, "memory of this VM is saved here (VMSnapshot saved)");
            for (StandInPod each : List.of(elsewhere, beside)) {
                each.killContainer();
            }
            cluster.restore("start", "saved");
            for (StandInPod each : List.of(elsewhere, beside)) {
                awaitSaid(each, "VMRestore start of this VM is under way, and not (yet) known to be for this pod");
                assertThat(each.starts()).as(each.toString()).isEqualTo(2);
            }
            cluster.awaitRestore("start", restore -> FailureReason.VMBusy.name()
                    .equals(Conditions.reason(restore.getStatus().getConditions(), ConditionType.READY)));

            // One that holds itself, and would rather go to the other node, is not let go there.
            cluster.createHeldByHand("mine", "web", other.name());
            for (String pod : List.of("web", "elsewhere", "beside")) {
                cluster.deletePod(pod);
            }
            cluster.awaitRunning("start");
            assertThat(other.runs(cluster.namespace, "mine")).isFalse();
            StandInPod next = cluster.pod("mine");
            StandInCluster.awaitGoingOn(next, last);
            assertThat(next.nonces()).containsExactly(last.nonce());
            assertThat(elsewhere.nonces()).isEmpty();
            assertThat(beside.nonces()).isEmpty();
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
            cluster.awaitSnapshot("saved", status -> status.getPhase() == SnapshotPhase.Consumed);
            assertThat(Conditions.isTrue(cluster.snapshot("saved").getStatus().getConditions(), ConditionType.READY))
                    .isFalse();
        }
    }

    private static void awaitStarts(StandInPod pod, int number) {
        await(pod + " is started again")
                .atMost(StandInCluster.PATIENCE)
                .until(() -> pod.starts() == number && pod.asks() == number);
    }

    private static void awaitSaid(StandInPod pod, String line) {
        await(pod + " says: " + line).atMost(StandInCluster.PATIENCE).untilAsserted(() -> assertThat(pod.output())
                .contains(line));
    }
}
