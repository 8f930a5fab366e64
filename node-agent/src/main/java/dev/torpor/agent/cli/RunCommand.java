package dev.torpor.agent.cli;

import dev.torpor.agent.work.AgentConfig;
import dev.torpor.agent.work.AgentProcess;
import dev.torpor.failure.TorporException;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code torpor-agent run}. */
@Command(
        name = "run",
        mixinStandardHelpOptions = true,
        description = {
            "Runs the agent of a node until it is told to end (SIGTERM).",
            "The cluster is the one that KUBECONFIG or the pod's service account names."
        })
final class RunCommand implements Callable<Integer> {
    @Option(names = "--node", required = true, paramLabel = "NAME", description = "Name of this node's Node object.")
    @SuppressWarnings("NullAway.Init")
    private String node;

    @Option(names = "--store", required = true, paramLabel = "DIR", description = "Folder of the images.")
    @SuppressWarnings("NullAway.Init")
    private Path store;

    @Option(
            names = "--kubelet-root",
            paramLabel = "DIR",
            defaultValue = "/var/lib/kubelet",
            description = "Folder of the kubelet (default: ${DEFAULT-VALUE}).")
    @SuppressWarnings("NullAway.Init")
    private Path kubeletRoot;

    @Option(
            names = "--namespace",
            paramLabel = "NS",
            defaultValue = "torpor-system",
            description = "Namespace of the agent's Lease (default: ${DEFAULT-VALUE}).")
    @SuppressWarnings("NullAway.Init")
    private String namespace;

    @Option(
            names = "--saves-at-once",
            paramLabel = "N",
            defaultValue = "2",
            description = "VMs saved at the same time; more only share the disk (default: ${DEFAULT-VALUE}).")
    private int savesAtOnce;

    @Spec
    @SuppressWarnings("NullAway.Init")
    private CommandSpec spec;

    @Override
    public Integer call() throws TorporException, InterruptedException {
        AgentProcess.run(config());
        return ExitCode.DONE;
    }

    private AgentConfig config() {
        try {
            return new AgentConfig(node, store, kubeletRoot, namespace, savesAtOnce);
        } catch (IllegalArgumentException e) {
            throw new ParameterException(spec.commandLine(), String.valueOf(e.getMessage()), e);
        }
    }
}
