package dev.torpor.operator.vm;

import io.fabric8.kubernetes.api.model.Node;
import io.javaoperatorsdk.operator.processing.event.source.filter.OnUpdateFilter;

/** Lets through only those changes of nodes that a drain or its end makes, and those of taints: kubelets write their status all the time. */
public final class NodeChanges implements OnUpdateFilter<Node> {
    @Override
    public boolean accept(Node now, Node before) {
        return NodeLeave.isCordoned(now) != NodeLeave.isCordoned(before)
                || !NodeLeave.maintenance(now).equals(NodeLeave.maintenance(before))
                || !NodeLeave.removal(now).equals(NodeLeave.removal(before))
                || !NodeLeave.taints(now).equals(NodeLeave.taints(before));
    }
}
