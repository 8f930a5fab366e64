package dev.torpor.e2e.demo;

import static org.awaitility.Awaitility.await;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.e2e.cluster.Workspace;
import dev.torpor.e2e.tree.WorkTree;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;

/** Torpor's operator and agent as processes of this machine, and the agent's store. */
final class TorporProcesses implements AutoCloseable {
    private static final Duration READY_TIMEOUT = Duration.ofMinutes(1);
    private static final int LOG_LINES = 25;

    private final Workspace workspace = Workspace.create("demo");
    private final DemoCluster cluster;

    TorporProcesses(DemoCluster cluster) {
        this.cluster = cluster;
    }

    /** Starts both and waits until the agent has told the cluster of its store. */
    void start() {
        Map<String, String> environment =
                Map.of("KUBECONFIG", cluster.kubeconfig().toString());
        Path target = WorkTree.root().resolve("operator/target");
        workspace.start(
                "operator",
                environment,
                Path.of(System.getProperty("java.home"), "bin", "java"),
                "-cp",
                target.resolve("classes") + ":" + target.resolve("lib") + "/*",
                "dev.torpor.operator.OperatorMain");
        workspace.start(
                "agent",
                environment,
                agent(),
                "run",
                "--node",
                cluster.node(),
                "--store",
                store().toString(),
                "--kubelet-root",
                cluster.kubeletRoot().toString());
        await("the lease of the store").atMost(READY_TIMEOUT).until(() -> {
            workspace.requireAllAlive();
            return cluster.kubectl()
                            .tryRun("get", "lease", "-n", Torpor.SYSTEM_NAMESPACE, Torpor.LEASE_PREFIX + cluster.node())
                            .code()
                    == 0;
        });
    }

    /** Returns the path of the agent's program. */
    static Path agent() {
        return WorkTree.root().resolve("bin/torpor-agent");
    }

    /** Returns the folder of the images. */
    Path store() {
        return workspace.file("store");
    }

    /** Returns the ends of both logs. */
    String logTails() {
        return workspace.logTails(LOG_LINES);
    }

    @Override
    public void close() {
        workspace.close();
    }
}
