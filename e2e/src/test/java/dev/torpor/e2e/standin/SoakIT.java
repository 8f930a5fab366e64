package dev.torpor.e2e.standin;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.e2e.cluster.StandInPod;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.e2e.standin.StandInCluster.AgentOptions;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.function.ToLongFunction;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * The same over and over: a VM sleeps and wakes up, another one is saved while it runs and once in vain, and all objects are
 * deleted. Neither agent nor operator grows, and nothing stays on the disk.
 *
 * <p>{@code TORPOR_SOAK_MINUTES} says for how long; without it there are as many rounds as it takes to see what each one leaves
 * behind.
 */
@Tag("standin")
@SuppressWarnings("NullAway.Init")
class SoakIT {
    private static final long MIB = 1 << 20;
    /** Rounds until all classes are loaded and pools have their threads. */
    private static final int WARM_UP_ROUNDS = 2;

    private static final int LEAST_ROUNDS = 5;
    /** What pools, connections and a collection that has not been yet make of noise. */
    private static final int SLACK_THREADS = 6;

    private static final int SLACK_DESCRIPTORS = 12;
    private static final long SLACK_BYTES = 12 * MIB;

    private static StandInCluster cluster;

    private final List<ProcessFigures> agents = new ArrayList<>();
    private final List<ProcessFigures> operators = new ArrayList<>();

    @BeforeAll
    static void start() throws Exception {
        cluster = StandInCluster.withWebhook();
        cluster.restartAgent(AgentOptions.ofImage());
        cluster.controlPlane.kubectl().runWithInput("""
                apiVersion: torpor.dev/v1alpha1
                kind: VMSnapshotClass
                metadata: {name: slow}
                spec: {bandwidthBytesPerSecond: 4000000}
                """, "apply", "-f", "-");
    }

    @AfterAll
    static void stop() {
        cluster.close();
    }

    @Test
    @SuppressWarnings("SystemOut") // The figures are of use to people.
    void nothingGrowsHoweverOftenVmsAreSavedAndRestored() throws Exception {
        Duration lasts = Duration.ofMinutes(Long.parseLong(System.getenv().getOrDefault("TORPOR_SOAK_MINUTES", "0")));
        Tick sleeper = cluster.startVm("sleeper", 60L).lastTick().orElseThrow();
        StandInPod steady = cluster.startVm("steady", 60L);
        Instant began = Instant.now();
        int rounds = 0;
        while (rounds < LEAST_ROUNDS || Duration.between(began, Instant.now()).compareTo(lasts) < 0) {
            rounds++;
            sleeper = sleepAndWake("sleeper-" + rounds, sleeper);
            saveWhileItRuns("steady-" + rounds, steady);
            saveInVain("vain-" + rounds, steady);
            forgetAll();
            look();
            System.out.printf(
                    "soak: round %d, agent: %s, operator: %s%n", rounds, agents.getLast(), operators.getLast());
        }
        assertThat(steady.nonces()).hasSize(1);
        System.out.printf(
                "figure: soak of %d rounds (3 saves, 1 start each), agent: %s to %s, operator: %s to %s%n",
                rounds,
                agents.get(WARM_UP_ROUNDS),
                agents.getLast(),
                operators.get(WARM_UP_ROUNDS),
                operators.getLast());
        assertNoGrowth(agents);
        assertNoGrowth(operators);
    }

    /** Returns the first tick after the VM went on in a pod of the operator's. */
    private static Tick sleepAndWake(String name, Tick last) throws IOException {
        StandInPod before = cluster.pod("sleeper");
        cluster.snapshot(name, "sleeper", "mode: ManagedSave");
        cluster.awaitRunning(name + "-start-1");
        StandInPod after = cluster.pod("sleeper");
        assertThat(after.uid()).isNotEqualTo(before.uid());
        Tick tick = StandInCluster.awaitGoingOn(after, last);
        assertThat(after.nonces()).containsExactly(last.nonce());
        return tick;
    }

    private static void saveWhileItRuns(String name, StandInPod pod) throws IOException {
        Tick last = pod.lastTick().orElseThrow();
        cluster.snapshot(name, "steady", "mode: Checkpoint", "parallel: {channels: 2, compression: Zstd}");
        cluster.awaitVerified(name);
        StandInCluster.awaitGoingOn(pod, last);
    }

    private static void saveInVain(String name, StandInPod pod) throws IOException {
        Tick last = pod.lastTick().orElseThrow();
        cluster.snapshot(name, "steady", "className: slow");
        cluster.awaitSnapshot(
                name,
                status -> status.getProgress() != null
                        && requireNonNull(status.getProgress().percent()) > 0);
        cluster.controlPlane.kubectl(
                "patch", "vmsnap", name, "-n", cluster.namespace, "--type=merge", "-p", "{\"spec\":{\"cancel\":true}}");
        cluster.awaitSnapshot(name, status -> status.getPhase() == SnapshotPhase.Cancelled);
        StandInCluster.awaitGoingOn(pod, last);
    }

    private static void forgetAll() {
        cluster.controlPlane.kubectl(
                "delete", "vmrestores,vmsnapshots", "--all", "-n", cluster.namespace, "--timeout=120s");
        await("no image is left").atMost(StandInCluster.PATIENCE).until(() -> cluster.imageFiles()
                .isEmpty());
        assertThat(cluster.client.pods().inNamespace(cluster.namespace).list().getItems())
                .hasSize(2);
    }

    private void look() throws IOException {
        agents.add(ProcessFigures.of(cluster.agentProcess().pid()));
        operators.add(ProcessFigures.of(cluster.operatorProcess().pid()));
    }

    private static void assertNoGrowth(List<ProcessFigures> figures) {
        List<ProcessFigures> warm = figures.subList(WARM_UP_ROUNDS, figures.size());
        int half = warm.size() / 2;
        List<ProcessFigures> before = warm.subList(0, half + 1);
        List<ProcessFigures> after = warm.subList(half, warm.size());
        assertThat(least(after, ProcessFigures::threads))
                .as("threads: %s", figures)
                .isLessThanOrEqualTo(least(before, ProcessFigures::threads) + SLACK_THREADS);
        assertThat(least(after, ProcessFigures::descriptors))
                .as("descriptors: %s", figures)
                .isLessThanOrEqualTo(least(before, ProcessFigures::descriptors) + SLACK_DESCRIPTORS);
        assertThat(least(after, ProcessFigures::anonymousBytes))
                .as("anonymous memory: %s", figures)
                .isLessThanOrEqualTo(least(before, ProcessFigures::anonymousBytes) + SLACK_BYTES);
    }

    /** What is needed always: the rest comes and goes. */
    private static long least(List<ProcessFigures> figures, ToLongFunction<ProcessFigures> which) {
        return figures.stream().mapToLong(which).min().orElseThrow();
    }
}
