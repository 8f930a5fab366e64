package dev.torpor.e2e.standin;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.e2e.cluster.StandInPod;
import dev.torpor.e2e.standin.StandInCluster.AgentOptions;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * What recorded channels cost the agent, whose JVM has the options of its image, and an archive of classes as that has. A channel
 * has a buffer of 1 MiB, and it is given back.
 */
@Tag("standin")
@SuppressWarnings("NullAway.Init")
class StreamMemoryIT {
    private static final int CHANNELS = 16;
    private static final int SAVES = 6;
    private static final long MIB = 1 << 20;
    private static final long WANTED_ANONYMOUS_BYTES = 128 * MIB;

    /** Of what the heap may grow by and a garbage collection takes back. */
    private static final long SLACK_BYTES = 12 * MIB;

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
    void sixteenChannelsAreRecordedWithinTheAgentsMemoryAndItIsGivenBack() throws Exception {
        StandInPod pod = cluster.startVm("big", 60L, "-m", "1024M");
        long agent = cluster.agentProcess().pid();
        long restBytes = ProcessFigures.of(agent).anonymousBytes();
        List<Long> most = new ArrayList<>();
        List<Long> after = new ArrayList<>();
        for (int n = 0; n < SAVES; n++) {
            String name = "big-" + n;
            try (MemorySampler sampler = new MemorySampler(agent)) {
                cluster.snapshot(
                        name,
                        "big",
                        "mode: Checkpoint",
                        "parallel: {channels: " + CHANNELS + ", compression: Zstd, compressionLevel: 1}");
                assertThat(cluster.awaitVerified(name).getStatus().getEngine()).isEqualTo("multifd-stream");
                most.add(sampler.mostBytes());
            }
            after.add(ProcessFigures.of(agent).anonymousBytes());
            StandInCluster.awaitGoingOn(pod, pod.lastTick().orElseThrow());
        }
        System.out.printf(
                "figure: agent: %d channels, anonymous memory at rest %d MiB, at most in each save %s MiB, after it %s MiB%n",
                CHANNELS, restBytes / MIB, inMiB(most), inMiB(after));
        assertThat(Collections.max(most)).isLessThanOrEqualTo(WANTED_ANONYMOUS_BYTES);
        // All classes are loaded after the first one: a later one costs its buffers, and what was kept of them would
        // show.
        assertThat(Collections.max(most) - after.getFirst()).isLessThan((CHANNELS + 1) * MIB + SLACK_BYTES);
        assertThat(Collections.max(after) - after.getFirst()).isLessThan(SLACK_BYTES);
    }

    private static List<Long> inMiB(List<Long> bytes) {
        return bytes.stream().map(each -> each / MIB).toList();
    }
}
