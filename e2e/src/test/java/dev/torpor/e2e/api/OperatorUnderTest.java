package dev.torpor.e2e.api;

import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.cluster.Child;
import dev.torpor.e2e.cluster.ControlPlane;
import dev.torpor.e2e.cluster.Workspace;
import dev.torpor.operator.step.Step;
import java.io.IOException;
import java.nio.file.Files;
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
        return start(Workspace.create("operator"), kubeconfig, List.of("dev.torpor.operator.OperatorMain"), arguments);
    }

    /** Starts an operator whose threads can be held at a step. */
    static OperatorUnderTest startToBeHeld(ControlPlane cluster, String... arguments) {
        Workspace workspace = Workspace.create("operator");
        return start(
                workspace,
                cluster.kubeconfig(),
                List.of(HeldOperator.class.getName(), workspace.directory().toString()),
                arguments);
    }

    private static OperatorUnderTest start(
            Workspace workspace, Path kubeconfig, List<String> program, String... arguments) {
        List<String> command = new ArrayList<>(List.of(
                "-Xmx128m",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-cp",
                System.getProperty("java.class.path")));
        command.addAll(program);
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

    /** Has the next thread that is about to take this step wait. */
    void holdNext(Step step) throws IOException {
        Files.createFile(HeldOperator.toHold(workspace.directory(), step));
    }

    /** Waits until a thread is held. */
    void awaitHeld(Step step) {
        await("a thread that is about to " + step).atMost(START_TIMEOUT).until(() -> {
            child.requireAlive();
            return Files.exists(HeldOperator.held(workspace.directory(), step));
        });
    }

    /** Lets a thread that is held go on. */
    void letGo(Step step) throws IOException {
        Files.delete(HeldOperator.held(workspace.directory(), step));
    }

    /** Stops the process wherever it is. */
    void freeze() throws Exception {
        signal("STOP");
    }

    /** Lets a process that is stopped go on. */
    void thaw() throws Exception {
        signal("CONT");
    }

    private void signal(String name) throws Exception {
        Process kill = new ProcessBuilder(
                        "kill", "-" + name, Long.toString(child.process().pid()))
                .start();
        if (kill.waitFor() != 0) {
            throw new IllegalStateException("no SIG" + name + " was sent");
        }
    }

    /** Waits until the process has ended by itself, and returns its exit code. */
    int awaitEnd() {
        await("the end of the operator").atMost(START_TIMEOUT).until(() -> !child.process()
                .isAlive());
        return child.process().exitValue();
    }

    /** Ends the process with SIGTERM, which may take as long as its last steps do, and keeps its log. */
    void terminate() {
        child.process().destroy();
        int _ = awaitEnd();
    }

    @Override
    public void close() {
        workspace.close();
    }
}
