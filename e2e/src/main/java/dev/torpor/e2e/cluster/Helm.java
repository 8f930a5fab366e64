package dev.torpor.e2e.cluster;

import dev.torpor.e2e.tree.WorkTree;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Runs {@code helm} against one cluster, as a person would, with the chart of the work tree. Blocks until it ends.
 *
 * @param kubeconfig of who runs it
 */
public record Helm(Path kubeconfig) {
    private static final class Found {
        static final Path DIRECTORY = Path.of(WorkTree.run("tools/helm.sh"));
    }

    /** Returns the path of the chart. */
    public static String chart() {
        return WorkTree.root().resolve("helm/torpor").toString();
    }

    /** Runs a command that must succeed and returns its output. Throws an unchecked exception with the output if not. */
    public String run(String... arguments) {
        return Command.run(command(arguments));
    }

    /** Runs a command that may fail. */
    public Kubectl.Result tryRun(String... arguments) {
        return Command.tryRun(command(arguments));
    }

    /** Runs the unit tests of the chart. */
    public static Kubectl.Result unitTests() {
        return Command.tryRun(Found.DIRECTORY.resolve("helm-unittest").toString(), chart());
    }

    private String[] command(String... arguments) {
        List<String> command = new ArrayList<>();
        command.add(Found.DIRECTORY.resolve("helm").toString());
        command.add("--kubeconfig=" + kubeconfig);
        command.addAll(List.of(arguments));
        return command.toArray(String[]::new);
    }
}
