package dev.torpor.e2e.standin;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.e2e.cluster.StandInPod;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.e2e.standin.StandInCluster.AgentOptions;
import dev.torpor.e2e.tree.WorkTree;
import dev.torpor.failure.FailureReason;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * Pods that want the memory, the time and the descriptors of their node's agent, all at once, against a whole agent, whose JVM
 * has the options of its image: an honest VM is saved within its deadline meanwhile, and the agent lives on within its bounds.
 */
@Tag("standin")
@SuppressWarnings("NullAway.Init")
class HostileAgentIT {
    /** What each hostile pod has in the place of QEMU; the asks come with answers that are too long. */
    private static final List<String> MODES =
            List.of("line", "objects", "events", "asks", "line", "objects", "events", "silent");

    private static final int ROUNDS = 3;
    private static final long MIB = 1 << 20;
    /** Wanted are 128; without the archive of classes, which the image has, some more. */
    private static final long WANTED_ANONYMOUS_BYTES = (128 + 12) * MIB;

    /** Of workers, one for each VM, and connections. */
    private static final int MORE_THREADS = 40;

    private static final int MORE_DESCRIPTORS = 60;

    private static StandInCluster cluster;

    @BeforeAll
    static void start() throws Exception {
        cluster = StandInCluster.withWebhook();
        cluster.restartAgent(AgentOptions.ofImage());
    }

    @AfterAll
    static void stop() {
        cluster.close();
    }

    @Test
    @SuppressWarnings("SystemOut") // The figures are of use to people.
    void anHonestVmIsSavedWhileEightPodsAttackItsAgent() throws Exception {
        StandInPod honest = cluster.startVm("honest", 60L);
        Tick before = honest.lastTick().orElseThrow();
        cluster.snapshot("first", "honest", "mode: Checkpoint");
        cluster.awaitVerified("first"); // classes are loaded
        Process agent = cluster.agentProcess();
        ProcessFigures rest = ProcessFigures.of(agent.pid());
        List<String> saves = new ArrayList<>();
        try (MemorySampler sampler = new MemorySampler(agent.pid())) {
            attack();
            for (int round = 0; round < ROUNDS; round++) {
                for (int n = 0; n < MODES.size(); n++) {
                    saves.add("h" + n + "-" + round);
                    cluster.snapshot(saves.getLast(), "hostile-" + n, "mode: Checkpoint", "deadlineSeconds: 20");
                }
                if (round == 0) {
                    cluster.snapshot("honest", "honest", "mode: Checkpoint", "deadlineSeconds: 60");
                }
            }
            cluster.awaitReady("honest");
            for (String save : saves) {
                // Those of the silent pod wait for each other, and are given up before an agent has them.
                VMSnapshot failed = cluster.awaitSnapshot(save, status -> status.getPhase() == SnapshotPhase.Failed);
                assertThat(Conditions.find(failed.getStatus().getConditions(), ConditionType.STALLED)
                                .orElseThrow()
                                .getReason())
                        .as(save)
                        .isIn(
                                FailureReason.NotQEMU.name(),
                                FailureReason.DeadlineExceeded.name(),
                                FailureReason.QMPTimeout.name());
            }
            ProcessFigures attacked = ProcessFigures.of(agent.pid());
            System.out.printf(
                    "figure: agent under attack by %d pods: at rest %s; at most %d MiB; at the end %s%n",
                    MODES.size(), rest, sampler.mostBytes() / MIB, attacked);
            assertThat(sampler.mostBytes()).isLessThanOrEqualTo(WANTED_ANONYMOUS_BYTES);
            assertThat(attacked.threads()).isLessThan(rest.threads() + MORE_THREADS);
            assertThat(attacked.descriptors()).isLessThan(rest.descriptors() + MORE_DESCRIPTORS);
        }
        assertThat(agent.isAlive()).isTrue();
        StandInCluster.awaitGoingOn(honest, before);
        assertThat(honest.nonces()).containsExactly(before.nonce());
        cluster.awaitVerified("honest");
        assertThat(cluster.imageFiles())
                .as("images of no VM but the honest one")
                .isNotEmpty()
                .noneMatch(file -> file.toString().contains("hostile"));
    }

    private static void attack() throws Exception {
        Path script = WorkTree.root().resolve("e2e/src/test/resources/dev/torpor/e2e/standin/hostile-monitor.pl");
        for (int n = 0; n < MODES.size(); n++) {
            cluster.createPod("hostile-" + n, List.of("perl"), List.of(script.toString(), MODES.get(n)));
        }
        for (int n = 0; n < MODES.size(); n++) {
            StandInPod pod = cluster.pod("hostile-" + n);
            await("it serves its monitor")
                    .atMost(StandInCluster.PATIENCE)
                    .until(() -> Files.exists(pod.volume().resolve("qmp.sock")));
        }
    }
}
