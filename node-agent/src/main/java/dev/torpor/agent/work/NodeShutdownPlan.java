package dev.torpor.agent.work;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;

/**
 * Which VMs are saved before a node goes down, and in which order; a pure function. The most important go first, whatever
 * they take; those that do not fit into what is left after them are passed over for smaller ones.
 *
 * @param saves what is saved, in this order
 * @param leftOut what is not, as the time does not suffice, most important first
 */
record NodeShutdownPlan(List<NodeVm> saves, List<NodeVm> leftOut) {
    /** What each save takes besides writing memory: looking at QEMU, flushing, two writes to the API. */
    static final Duration EACH = Duration.ofMillis(400);

    private static final double NANOS_PER_SECOND = 1e9;

    NodeShutdownPlan {
        saves = List.copyOf(saves);
        leftOut = List.copyOf(leftOut);
    }

    /**
     * Plans.
     *
     * @param bytesPerSecond at which memory is saved; empty if not known: then all is tried, and given up in time
     * @param left time for all of it
     */
    static NodeShutdownPlan of(List<NodeVm> vms, OptionalLong bytesPerSecond, Duration left) {
        List<NodeVm> saves = new ArrayList<>();
        List<NodeVm> leftOut = new ArrayList<>();
        Duration rest = left;
        for (NodeVm vm : vms.stream().sorted(NodeVm.ORDER).toList()) {
            Duration takes = takes(vm, bytesPerSecond);
            if (takes.compareTo(rest) <= 0) {
                saves.add(vm);
                rest = rest.minus(takes);
            } else {
                leftOut.add(vm);
            }
        }
        return new NodeShutdownPlan(saves, leftOut);
    }

    /** Returns how long a VM's save takes, as far as that is known: at least so long. */
    static Duration takes(NodeVm vm, OptionalLong bytesPerSecond) {
        if (bytesPerSecond.isEmpty() || vm.memoryBytes().isEmpty()) {
            return EACH;
        }
        // As if all pages were written: which are zero is known only when they are read.
        double seconds = (double) vm.memoryBytes().getAsLong() / Math.max(1, bytesPerSecond.getAsLong());
        return EACH.plusNanos((long) (seconds * NANOS_PER_SECOND));
    }
}
