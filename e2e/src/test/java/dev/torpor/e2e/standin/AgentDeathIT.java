package dev.torpor.e2e.standin;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.cluster.StandInPod;
import dev.torpor.e2e.guest.Tick;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * The agent dies by SIGKILL just before and just after each of its steps, and another follows: one guest, one memory, all
 * the way through, and never a second boot.
 */
@Tag("standin")
class AgentDeathIT {
    // Just after one step is just before the next where nothing is done in between.
    private static final List<String> SAVE = List.of(
            "before SAVE_RECORD",
            "after SAVE_RECORD",
            "after SAVE_PAUSE",
            "before SAVE_WRITE",
            "after SAVE_WRITE",
            "after SAVE_COMMIT",
            "after SAVE_RETIRE",
            "after SAVE_PUBLISH");
    private static final List<String> RESTORE = List.of(
            "before RESTORE_WAIT",
            "after RESTORE_WAIT",
            "before START_ANSWER",
            "after START_ANSWER",
            "before RESTORE_LOAD",
            "after RESTORE_LOAD",
            "after RESTORE_HAND_OVER",
            "after RESTORE_JOURNAL",
            "after RESTORE_CONTINUE",
            "after RESTORE_PUBLISH",
            "after RESTORE_CONSUME");
    /** The pod of the second waits, with its gate. */
    private static final List<String[]> MODES =
            List.of(new String[] {"mode: Save"}, new String[] {"mode: ManagedSave", "resume: Manual"});

    private static final List<String> CHECKPOINT = List.of(
            "after SAVE_PAUSE", "after SAVE_WRITE", "after SAVE_COMMIT", "after SAVE_CONTINUE", "after SAVE_PUBLISH");

    @Test
    void everySaveAndRestoreIsFinishedByTheNextAgent() throws Exception {
        try (StandInCluster cluster = new StandInCluster()) {
            StandInPod pod = cluster.startVm("web", 192, 8);
            Tick tick = pod.lastTick().orElseThrow();
            for (int i = 0; i < RESTORE.size(); i++) {
                String save = SAVE.get(i % SAVE.size());
                cluster.restartAgent(save);
                cluster.snapshot("s" + i, "web", MODES.get(i % MODES.size()));
                cluster.awaitAgentDeath();
                cluster.restartAgent(RESTORE.get(i));
                cluster.awaitReady("s" + i);
                assertThat(pod.starts())
                        .as("starts of the pod saved, after death %s", save)
                        .isLessThanOrEqualTo(2);

                cluster.restore("r" + i, "s" + i);
                cluster.awaitAgentDeath();
                cluster.restartAgent("never");
                cluster.awaitRunning("r" + i);
                // The file goes last of all; the next round's agents are to die in their own rounds.
                await().atMost(StandInCluster.PATIENCE).until(() -> cluster.imageFiles().stream()
                        .noneMatch(file -> file.toString().endsWith(".img")));
                pod = cluster.pod("web");
                Tick before = tick;
                tick = StandInCluster.awaitGoingOn(pod, before);
                assertThat(pod.output())
                        .as("the guest after death %s", RESTORE.get(i))
                        .contains(before.nonce());
            }
        }
    }

    @Test
    void aContainerThatRestartsBetweenCommitAndRetirementDoesNotBoot() throws Exception {
        try (StandInCluster cluster = new StandInCluster()) {
            StandInPod pod = cluster.startVm("web", 192, 8);
            cluster.restartAgent("after SAVE_COMMIT");
            cluster.snapshot("saved", "web");
            cluster.awaitAgentDeath();
            Tick last = pod.lastTick().orElseThrow();
            pod.killContainer();
            await().atMost(StandInCluster.PATIENCE).until(() -> pod.starts() == 2);

            cluster.restartAgent("never");
            cluster.awaitReady("saved");
            assertThat(pod.lastTick().orElseThrow().nonce()).isEqualTo(last.nonce());
            cluster.restore("back", "saved");
            cluster.awaitRunning("back");
            StandInCluster.awaitGoingOn(cluster.pod("web"), last);
        }
    }

    @Test
    void everyCheckpointIsFinishedByTheNextAgent() throws Exception {
        try (StandInCluster cluster = new StandInCluster()) {
            StandInPod pod = cluster.startVm("web", 192, 8);
            Tick tick = pod.lastTick().orElseThrow();
            for (int i = 0; i < CHECKPOINT.size(); i++) {
                cluster.restartAgent(CHECKPOINT.get(i));
                cluster.snapshot("s" + i, "web", "mode: Checkpoint");
                cluster.awaitAgentDeath();
                cluster.restartAgent("never");
                cluster.awaitReady("s" + i);
                tick = StandInCluster.awaitGoingOn(pod, tick);
            }
            assertThat(pod.starts()).isEqualTo(1);
        }
    }
}
