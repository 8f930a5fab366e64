package dev.torpor.agent.work;

import dev.torpor.agent.launch.VmName;
import java.util.Comparator;
import java.util.OptionalLong;

/**
 * A VM of this node that may have to be saved before the node goes down.
 *
 * @param priority of its pod; the higher, the more important
 * @param memoryBytes all of its RAM blocks; empty if not known
 */
record NodeVm(VmName vm, String podUID, int priority, OptionalLong memoryBytes) {
    /** Most important first; of the same importance the shortest, those of unknown length last. */
    static final Comparator<NodeVm> ORDER = Comparator.comparingInt(NodeVm::priority)
            .reversed()
            .thenComparingLong(its -> its.memoryBytes().orElse(Long.MAX_VALUE))
            .thenComparing(NodeVm::vm)
            .thenComparing(NodeVm::podUID);

    WorkItem.NodeEnd item() {
        return new WorkItem.NodeEnd(vm, podUID);
    }
}
