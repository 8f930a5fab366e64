package dev.torpor.operator.drain;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.operator.vm.NodeLeave;
import io.fabric8.kubernetes.api.model.Node;
import org.jspecify.annotations.Nullable;

/** Why a save was made, and with that when it has lost its cause. The names are values of an annotation: never renamed. */
enum DrainCause {
    /** An eviction from a cordoned node, as by kubectl drain: until the node takes pods again. */
    Cordon,
    /** The node's annotation or taint asks for it: until that is gone. */
    Maintenance,
    /** An eviction from a node that takes pods: whoever asked does not take it back. */
    Eviction,
    /** The node is about to be deleted, and its VMs are shut down: until its taint is gone. */
    Removal;

    /** Returns the cause of an eviction from a node; null: the node is gone. */
    static DrainCause ofEviction(@Nullable Node node) {
        return node != null
                        && (NodeLeave.isCordoned(node)
                                || NodeLeave.maintenance(node).isPresent())
                ? Cordon
                : Eviction;
    }

    /** Returns the cause of a save that a drain made. */
    static DrainCause of(VMSnapshot save) {
        String cause = SaveProgress.annotations(save).get(Torpor.DRAIN_CAUSE_ANNOTATION);
        for (DrainCause known : values()) {
            if (known.name().equals(cause)) {
                return known;
            }
        }
        // Written by a newer operator: whatever it means, it is not ours to end.
        return Eviction;
    }

    /** Returns whether a node no longer says what caused a save. */
    boolean isOver(Node node) {
        return switch (this) {
            case Cordon ->
                !NodeLeave.isCordoned(node) && NodeLeave.maintenance(node).isEmpty();
            case Maintenance -> NodeLeave.maintenance(node).isEmpty();
            case Eviction -> false;
            case Removal -> NodeLeave.removal(node).isEmpty();
        };
    }
}
