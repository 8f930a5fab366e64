package dev.torpor.e2e.api;

import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.cluster.Child;
import dev.torpor.e2e.cluster.ControlPlane;
import dev.torpor.e2e.cluster.Workspace;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** An operator as a process of its own, as users run it. */
final class OperatorUnderTest implements AutoCloseable {
    private static final Duration START_TIMEOUT = Duration.ofSeconds(60);

    private final Workspace workspace;
    private final Child child;

    private OperatorUnderTest(Workspace workspace, Child child) {
        this.workspace = workspace;
        this.child = child;
    }

    /** Starts an operator that works at once and waits until its caches are warm. */
    static OperatorUnderTest start(ControlPlane cluster, String systemNamespace) {
        return start(cluster, "--namespace", systemNamespace, "--no-leader-election");
    }

    /** Starts an operator with these arguments and waits until its caches are warm. */
    static OperatorUnderTest start(ControlPlane cluster, String... arguments) {
        return startAs(cluster.kubeconfig(), arguments);
    }

    /** Starts an operator with the identity of a kubeconfig file and waits until its caches are warm. */
    static OperatorUnderTest startAs(Path kubeconfig, String... arguments) {
        Workspace workspace = Workspace.create("operator");
        List<String> command = new ArrayList<>(
                List.of("-Xmx128m", "-cp", System.getProperty("java.class.path"), "dev.torpor.operator.OperatorMain"));
        command.addAll(List.of(arguments));
        var child = workspace.start(
                "operator",
                Map.of("KUBECONFIG", kubeconfig.toString()),
                Path.of(System.getProperty("java.home"), "bin", "java"),
                command.toArray(String[]::new));
        var operator = new OperatorUnderTest(workspace, child);
        await("operator").atMost(START_TIMEOUT).until(() -> {
            child.requireAlive();
            return operator.log().contains("OperatorProcess - started");
        });
        return operator;
    }

    /** Returns the last lines of the process's log. */
    String log() {
        return child.logTail(500);
    }

    /** Ends the process with SIGTERM, and keeps its log. */
    void terminate() {
        child.close();
    }

    @Override
    public void close() {
        workspace.close();
    }
}
