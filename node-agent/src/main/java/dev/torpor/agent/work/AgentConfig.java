package dev.torpor.agent.work;

import dev.torpor.telemetry.log.LogSettings;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;

/**
 * How an agent is set up.
 *
 * @param node name of its Node object
 * @param version of the agent, for people
 * @param store directory of its image store
 * @param existingStore whether to wait for a store that is there, rather than to make one
 * @param kubeletRoot directory of the kubelet, usually {@code /var/lib/kubelet}
 * @param leaseNamespace namespace of its Lease
 * @param savesAtOnceMax how many VMs are saved at the same time; more only share the disk
 * @param httpPort where health and metrics are served; 0 for nowhere
 * @param grace how long saves and loads under way are waited for when the agent is told to end
 * @param systemBus path of the socket of the host's D-Bus, over which logind tells of shutdowns; empty if it is not to be
 *     asked
 * @param scrub how often images are compared again
 * @param logs how it logs
 */
public record AgentConfig(
        String node,
        String version,
        Path store,
        boolean existingStore,
        Path kubeletRoot,
        String leaseNamespace,
        int savesAtOnceMax,
        int httpPort,
        Duration grace,
        Optional<Path> systemBus,
        ScrubSettings scrub,
        LogSettings logs) {
    private static final int PORT_MAX = 65_535;

    public AgentConfig {
        if (node.isEmpty()) {
            throw new IllegalArgumentException("the node's name is empty");
        }
        if (savesAtOnceMax < 1) {
            throw new IllegalArgumentException("at least one save at a time");
        }
        if (httpPort < 0 || httpPort > PORT_MAX) {
            throw new IllegalArgumentException(httpPort + " is not a port: give 1 to 65535, or 0 for none");
        }
        if (grace.isNegative()) {
            throw new IllegalArgumentException("the grace period is negative");
        }
    }
}
