package dev.torpor.agent.cli;

import dev.torpor.agent.work.AgentConfig;
import dev.torpor.agent.work.AgentProcess;
import dev.torpor.api.v1alpha1.Torpor;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code run}: the agent of a node, until it is told to end. */
@Command(
        name = "run",
        description =
                "Serves a node of a cluster: answers the launchers of its VM pods, saves and restores VMs as the API"
                        + " asks. The cluster is the one of KUBECONFIG, or the one that the process runs in.",
        mixinStandardHelpOptions = true)
@SuppressWarnings("NullAway.Init")
final class RunCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Option(names = "--node", required = true, paramLabel = "NAME", description = "name of the Node object")
    private String node;

    @Option(
            names = "--store",
            required = true,
            paramLabel = "DIR",
            description = "directory of the image store; made if it is not there")
    private Path store;

    @Option(
            names = "--kubelet-root",
            paramLabel = "DIR",
            defaultValue = "/var/lib/kubelet",
            description = "directory of the kubelet (default: ${DEFAULT-VALUE})")
    private Path kubeletRoot;

    @Option(
            names = "--lease-namespace",
            paramLabel = "NAME",
            defaultValue = Torpor.SYSTEM_NAMESPACE,
            description = "namespace of the Lease that tells that the store is alive (default: ${DEFAULT-VALUE})")
    private String leaseNamespace;

    @Option(
            names = "--saves-at-once",
            paramLabel = "N",
            defaultValue = "2",
            description = "most VMs that are saved at the same time (default: ${DEFAULT-VALUE})")
    private int savesAtOnce;

    @Override
    public Integer call() throws Exception {
        AgentConfig config;
        try {
            config = new AgentConfig(node, store, kubeletRoot, leaseNamespace, savesAtOnce);
        } catch (IllegalArgumentException e) {
            throw new ParameterException(spec.commandLine(), String.valueOf(e.getMessage()), e);
        }
        AgentProcess.run(config);
        return ExitCode.DONE;
    }
}
