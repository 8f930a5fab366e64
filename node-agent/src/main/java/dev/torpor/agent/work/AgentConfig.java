package dev.torpor.agent.work;

import java.nio.file.Path;

/**
 * How an agent is set up.
 *
 * @param node name of its Node object
 * @param store directory of its image store
 * @param kubeletRoot directory of the kubelet, usually {@code /var/lib/kubelet}
 * @param leaseNamespace namespace of its Lease
 * @param savesAtOnceMax how many VMs are saved at the same time; more only share the disk
 */
public record AgentConfig(String node, Path store, Path kubeletRoot, String leaseNamespace, int savesAtOnceMax) {
    public AgentConfig {
        if (node.isEmpty()) {
            throw new IllegalArgumentException("the node's name is empty");
        }
        if (savesAtOnceMax < 1) {
            throw new IllegalArgumentException("at least one save at a time");
        }
    }
}
