package dev.torpor.agent.cli;

import dev.torpor.agent.work.AgentConfig;
import dev.torpor.agent.work.AgentProcess;
import dev.torpor.agent.work.ScrubSettings;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.telemetry.log.LogSettings;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
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
                        + " asks. The cluster is the one of KUBECONFIG, or the one that the process runs in. Logs:"
                        + " TORPOR_LOG_FORMAT (text, json), TORPOR_LOG_LEVEL (error, warn, info, debug).",
        mixinStandardHelpOptions = true)
@SuppressWarnings("NullAway.Init")
final class RunCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Option(
            names = "--node",
            required = true,
            paramLabel = "NAME",
            defaultValue = "${env:TORPOR_NODE}",
            description = "name of the Node object (else TORPOR_NODE)")
    private String node;

    @Option(
            names = "--store",
            required = true,
            paramLabel = "DIR",
            defaultValue = "${env:TORPOR_STORE}",
            description = "directory of the image store; made if it is not there (else TORPOR_STORE)")
    private Path store;

    @Option(
            names = "--existing-store",
            description =
                    "make no store: wait for one to be there, as its disk may not be mounted yet; a new disk's store is"
                            + " made if it has an empty file create-store")
    private boolean existingStore;

    @Option(
            names = "--kubelet-root",
            paramLabel = "DIR",
            defaultValue = "/var/lib/kubelet",
            description = "directory of the kubelet (default: ${DEFAULT-VALUE})")
    private Path kubeletRoot;

    @Option(
            names = "--lease-namespace",
            paramLabel = "NAME",
            defaultValue = "${env:TORPOR_NAMESPACE:-" + Torpor.SYSTEM_NAMESPACE + "}",
            description = "namespace of the Lease that tells that the store is alive (else TORPOR_NAMESPACE; default: "
                    + Torpor.SYSTEM_NAMESPACE + ")")
    private String leaseNamespace;

    @Option(
            names = "--saves-at-once",
            paramLabel = "N",
            defaultValue = "2",
            description = "most VMs that are saved at the same time (default: ${DEFAULT-VALUE})")
    private int savesAtOnce;

    @Option(
            names = "--http-port",
            paramLabel = "N",
            defaultValue = "${env:TORPOR_HTTP_PORT:-0}",
            description = "port for /livez, /readyz and /metrics (else TORPOR_HTTP_PORT; default: 0, none)")
    private int httpPort;

    @Option(
            names = "--grace-seconds",
            paramLabel = "N",
            defaultValue = "${env:TORPOR_GRACE_SECONDS:-60}",
            description = "how long saves and restores under way are waited for when the agent is told to end"
                    + " (else TORPOR_GRACE_SECONDS; default: 60)")
    private int graceSeconds;

    @Option(
            names = "--system-bus",
            paramLabel = "SOCKET",
            description =
                    "socket of the host's D-Bus, usually /run/dbus/system_bus_socket: have logind's shutdowns of this"
                            + " node wait until its VMs are saved, as far as logind's time suffices (default: none)")
    private @Nullable Path systemBus;

    @Option(
            names = "--scrub-days",
            paramLabel = "N",
            defaultValue = "7",
            description = "days after which images are compared with their checksums again; 0: never (default: 7)")
    private int scrubDays;

    @Option(
            names = "--scrub-mib-per-second",
            paramLabel = "N",
            defaultValue = "50",
            description = "the most that is read from the disk for that (default: 50)")
    private int scrubMibPerSecond;

    @Override
    public Integer call() throws Exception {
        List<String> problems = new ArrayList<>();
        LogSettings logs = LogSettings.parse(System.getenv(), problems::add);
        if (!problems.isEmpty()) {
            throw new ParameterException(spec.commandLine(), String.join("; ", problems));
        }
        AgentConfig config;
        try {
            config = new AgentConfig(
                    node,
                    Version.release(),
                    store,
                    existingStore,
                    kubeletRoot,
                    leaseNamespace,
                    savesAtOnce,
                    httpPort,
                    Duration.ofSeconds(graceSeconds),
                    Optional.ofNullable(systemBus),
                    new ScrubSettings(Duration.ofDays(scrubDays), (long) scrubMibPerSecond << 20),
                    logs);
        } catch (IllegalArgumentException e) {
            throw new ParameterException(spec.commandLine(), String.valueOf(e.getMessage()), e);
        }
        AgentProcess.run(config);
        return ExitCode.DONE;
    }
}
