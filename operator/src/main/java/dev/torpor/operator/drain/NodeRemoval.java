package dev.torpor.operator.drain;

import dev.torpor.api.v1alpha1.OnNodeRemoval;
import dev.torpor.operator.vm.NodeLeave;
import io.fabric8.kubernetes.api.model.Node;
import java.util.Optional;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * That a save is not begun because its node is deleted next.
 *
 * @param sign what says so, in words
 * @param shutDown whether the VM is shut down instead; if not, the drain waits for a person
 */
record NodeRemoval(String sign, boolean shutDown) {
    /**
     * Looks.
     *
     * @param node null: it is gone
     * @param policy what the class says about such nodes; asked only of one
     * @return empty if nothing is against a save, or none is to begin
     */
    static Optional<NodeRemoval> of(SaveStep step, @Nullable Node node, Supplier<OnNodeRemoval> policy) {
        if (!(step instanceof SaveStep.Begin) || node == null) {
            return Optional.empty();
        }
        return NodeLeave.removal(node).flatMap(sign -> switch (policy.get()) {
            case Block -> Optional.of(new NodeRemoval(sign, false));
            case Shutdown -> Optional.of(new NodeRemoval(sign, true));
            case Save -> Optional.empty();
        });
    }
}
