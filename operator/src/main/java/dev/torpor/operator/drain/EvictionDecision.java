package dev.torpor.operator.drain;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.operator.vm.LauncherWiring;
import dev.torpor.operator.vm.VmPods;
import io.fabric8.kubernetes.api.model.Pod;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Decides what becomes of an eviction. Pure: in two parts, as most evictions need no more than a look at the pod. */
final class EvictionDecision {
    private EvictionDecision() {}

    /**
     * Decides by the pod alone.
     *
     * @param pod null: there is none of that name
     * @return the answer; empty if the VM has to be saved first
     */
    static Optional<EvictionAnswer> byPod(@Nullable Pod pod, EvictionRequest request) {
        if (pod == null || vmLabel(pod) == null || VmPods.isTerminating(pod) || !VmPods.isLive(pod)) {
            return Optional.of(new EvictionAnswer.Allow());
        }
        String uid = pod.getMetadata().getUid();
        if (request.podUid().filter(asked -> !asked.equals(uid)).isPresent()) {
            // What the API server says too, unless a PodDisruptionBudget has it say 429 for ever.
            return Optional.of(EvictionAnswer.refuse("torpor: pod %s has UID %s, not %s: the one that was meant is gone"
                    .formatted(
                            pod.getMetadata().getName(), uid, request.podUid().orElseThrow())));
        }
        if (isGated(pod) || pod.getSpec().getNodeName() == null) {
            return Optional.of(EvictionAnswer.gone("torpor: pod %s of VM %s is on no node: there is nothing to evict"
                    .formatted(pod.getMetadata().getName(), vmLabel(pod))));
        }
        return Optional.empty();
    }

    /**
     * Decides by how far the save is. A save that is to begin is for the caller to make, after this answer.
     *
     * @param removal what forbids to begin a save on the node
     */
    static EvictionAnswer bySave(
            Pod pod, SaveStep step, Optional<NodeRemoval> removal, SaveWords words, boolean dryRun) {
        if (removal.isPresent() && !removal.get().shutDown()) {
            String text = words.nodeIsRemoved(removal.get().sign());
            return dryRun ? EvictionAnswer.refuse(text) : EvictionAnswer.wait(text);
        }
        if (step instanceof SaveStep.Starting starting && !starting.atWork() && hasNoGuest(pod)) {
            return EvictionAnswer.gone(words.nothingToEvict(starting));
        }
        if (!dryRun) {
            return EvictionAnswer.wait(
                    removal.map(found -> words.isShutDown(found.sign())).orElseGet(() -> words.of(step)));
        }
        return asIf(pod, step, words, removal.isPresent() ? words.wouldBeShutDown() : words.wouldBeSaved());
    }

    // To be allowed would end in 429 from the PodDisruptionBudget, which kubectl repeats for ever; 404 is what a drain
    // that went well ends with, 409 what one ends with that would wait for a person.
    private static EvictionAnswer asIf(Pod pod, SaveStep step, SaveWords words, String would) {
        Optional<String> lacks = LauncherWiring.lacks(pod);
        if (step instanceof SaveStep.Begin && lacks.isPresent()) {
            return EvictionAnswer.refuse(words.noLauncher(lacks.get()));
        }
        return switch (step) {
            case SaveStep.Blocked _ -> EvictionAnswer.refuse(words.of(step));
            case SaveStep.LetGo _, SaveStep.ShutDown _ -> EvictionAnswer.gone(words.of(step));
            default -> EvictionAnswer.gone(would);
        };
    }

    /** Whoever hears 404 takes the pod for gone: so only where the node's agent would say if a guest ran. */
    private static boolean hasNoGuest(Pod pod) {
        boolean said = pod.getSpec().getReadinessGates() != null
                && pod.getSpec().getReadinessGates().stream()
                        .anyMatch(gate -> Torpor.GUEST_RUNNING.equals(gate.getConditionType()));
        boolean runs = pod.getStatus() != null
                && pod.getStatus().getConditions().stream()
                        .anyMatch(condition -> Torpor.GUEST_RUNNING.equals(condition.getType())
                                && "True".equals(condition.getStatus()));
        return said && !runs;
    }

    private static @Nullable String vmLabel(Pod pod) {
        return pod.getMetadata().getLabels() == null
                ? null
                : pod.getMetadata().getLabels().get(Torpor.VM_LABEL);
    }

    private static boolean isGated(Pod pod) {
        return pod.getSpec().getSchedulingGates() != null
                && !pod.getSpec().getSchedulingGates().isEmpty();
    }
}
