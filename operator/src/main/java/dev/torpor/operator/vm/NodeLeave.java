package dev.torpor.operator.vm;

import dev.torpor.api.v1alpha1.Torpor;
import io.fabric8.kubernetes.api.model.Node;
import io.fabric8.kubernetes.api.model.Taint;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** What a Node object says of its VMs' stay: whether they are to be saved, and whether the node comes back afterwards. */
public final class NodeLeave {
    /**
     * Taints of tools that empty a node for a while.
     *
     * <ul>
     *   <li>{@code medik8s.io/drain}: Node Maintenance Operator (medik8s/node-maintenance-operator, controllers/taint.go),
     *       which cordons and evicts as well;
     *   <li>{@code kubevirt.io/drain}: KubeVirt's evacuation taint, its default {@code nodeDrainTaintKey}; Harvester sets
     *       it in upgrades.
     * </ul>
     *
     * Not {@code node.kubernetes.io/unschedulable}, which a plain cordon sets.
     */
    private static final Set<String> MAINTENANCE_TAINTS = Set.of("medik8s.io/drain", "kubevirt.io/drain");

    /**
     * Taints of tools that delete the machine next: an image in its store would go with it.
     *
     * <ul>
     *   <li>{@code ToBeDeletedByClusterAutoscaler}: cluster autoscaler (kubernetes/autoscaler, utils/taints);
     *   <li>{@code karpenter.sh/disrupted}, before version 1 {@code karpenter.sh/disruption}: Karpenter (its page on
     *       disruption, "Control Flow").
     * </ul>
     */
    private static final Set<String> REMOVAL_TAINTS =
            Set.of("ToBeDeletedByClusterAutoscaler", "karpenter.sh/disrupted", "karpenter.sh/disruption");

    private NodeLeave() {}

    /** Returns whether the node takes no new pods. */
    public static boolean isCordoned(Node node) {
        return node.getSpec() != null && Boolean.TRUE.equals(node.getSpec().getUnschedulable());
    }

    /** Returns what asks for all VMs of the node to be saved, in words; empty if nothing does. A cordon does not. */
    public static Optional<String> maintenance(Node node) {
        String asked = node.getMetadata().getAnnotations() == null
                ? null
                : node.getMetadata().getAnnotations().get(Torpor.MAINTENANCE_ANNOTATION);
        if (asked != null && !"false".equals(asked)) {
            return Optional.of("annotation " + Torpor.MAINTENANCE_ANNOTATION);
        }
        return taint(node, MAINTENANCE_TAINTS).map(key -> "taint " + key);
    }

    /** Returns what says that the node will be deleted, in words; empty if nothing does. */
    public static Optional<String> removal(Node node) {
        return taint(node, REMOVAL_TAINTS).map(key -> "taint " + key);
    }

    /** Returns the node's taints. */
    static List<Taint> taints(Node node) {
        return node.getSpec() == null ? List.of() : node.getSpec().getTaints();
    }

    private static Optional<String> taint(Node node, Set<String> keys) {
        return taints(node).stream()
                .map(Taint::getKey)
                .filter(keys::contains)
                .sorted()
                .findFirst();
    }
}
