package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.launch.VmJournal;
import dev.torpor.agent.metrics.AgentMetrics;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.time.Clock;
import java.util.concurrent.ScheduledExecutorService;

/** A node that has one VM and one API server, both fake, and all else as on any node. */
final class TestNode {
    private static final int SAVES_AT_ONCE = 2;

    private TestNode() {}

    static Node of(
            ImageStore store, VmJournal journal, FakeVms vms, FakeCluster cluster, ScheduledExecutorService timer) {
        return new Node(
                store,
                journal,
                vms,
                cluster,
                cluster,
                Clock.systemUTC(),
                timer,
                new SaveTurns(SAVES_AT_ONCE),
                new UnderWay(),
                new GuestReadiness(vms, cluster, Clock.systemUTC()),
                new AgentMetrics(new SimpleMeterRegistry()),
                StepHook.NONE,
                item -> {});
    }
}
