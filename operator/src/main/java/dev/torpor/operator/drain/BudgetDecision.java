package dev.torpor.operator.drain;

import dev.torpor.api.v1alpha1.Torpor;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudget;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudgetSpec;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * What is to be done about the PodDisruptionBudgets of a namespace.
 *
 * @param change of our own budget
 * @param warnings about budgets of others
 */
record BudgetDecision(Change change, List<Warning> warnings) {
    /** What becomes of our budget. */
    sealed interface Change {
        record Nothing() implements Change {}

        record Create() implements Change {}

        /** Somebody changed it. */
        record Repair(PodDisruptionBudget budget) implements Change {}

        record Remove(PodDisruptionBudget budget) implements Change {}
    }

    /** What people should know of a budget that is not ours. */
    record Warning(PodDisruptionBudget about, String message) {}

    /**
     * Decides. Pure.
     *
     * @param vmPods pods of VMs in the namespace, in whatever state; none where evictions are never answered
     * @param budgets all budgets of the namespace
     */
    static BudgetDecision decide(List<Pod> vmPods, List<PodDisruptionBudget> budgets) {
        List<Warning> warnings = budgets.stream()
                .filter(budget -> !VmBudgets.isOurs(budget) && !isNamedLikeOurs(budget))
                .filter(budget -> !selected(budget, vmPods).isEmpty())
                .map(budget -> new Warning(budget, secondBudget(budget, selected(budget, vmPods))))
                .toList();
        PodDisruptionBudget named = budgets.stream()
                .filter(BudgetDecision::isNamedLikeOurs)
                .findFirst()
                .orElse(null);
        if (named != null && !VmBudgets.isOurs(named)) {
            return new BudgetDecision(
                    new Change.Nothing(),
                    vmPods.isEmpty()
                            ? List.of()
                            : List.of(new Warning(
                                    named,
                                    "PodDisruptionBudget %s has the name of Torpor's own, which is not made for that: without it VMs of this namespace may be evicted unsaved while Torpor's webhook is away. Give yours another name, and a selector that leaves out the label %s."
                                            .formatted(VmBudgets.NAME, Torpor.VM_LABEL))));
        }
        return new BudgetDecision(change(vmPods, named), warnings);
    }

    private static Change change(List<Pod> vmPods, @Nullable PodDisruptionBudget ours) {
        if (vmPods.isEmpty()) {
            return ours == null ? new Change.Nothing() : new Change.Remove(ours);
        }
        if (ours == null) {
            return new Change.Create();
        }
        return isRight(ours.getSpec()) ? new Change.Nothing() : new Change.Repair(ours);
    }

    private static boolean isRight(PodDisruptionBudgetSpec spec) {
        PodDisruptionBudgetSpec right = VmBudgets.spec();
        return spec.getMinAvailable() != null
                && Objects.equals(
                        right.getMinAvailable().getIntVal(),
                        spec.getMinAvailable().getIntVal())
                && spec.getMaxUnavailable() == null
                && spec.getUnhealthyPodEvictionPolicy() == null
                && Selectors.matches(spec.getSelector(), Map.of(Torpor.VM_LABEL, "any"))
                && right.getSelector().equals(spec.getSelector());
    }

    private static boolean isNamedLikeOurs(PodDisruptionBudget budget) {
        return VmBudgets.NAME.equals(budget.getMetadata().getName());
    }

    private static List<Pod> selected(PodDisruptionBudget budget, List<Pod> vmPods) {
        return vmPods.stream()
                .filter(pod -> Selectors.matches(
                        budget.getSpec().getSelector(), pod.getMetadata().getLabels()))
                .toList();
    }

    private static String secondBudget(PodDisruptionBudget budget, List<Pod> pods) {
        return "PodDisruptionBudget %s selects pods of VMs (%s), which Torpor's own %s does too. Kubernetes evicts no pod with two budgets: while Torpor's webhook is away, drains of their nodes end with an error instead of waiting. Have its selector leave out the label %s."
                .formatted(
                        budget.getMetadata().getName(),
                        pods.stream()
                                .map(pod -> pod.getMetadata().getName())
                                .sorted()
                                .limit(3)
                                .collect(Collectors.joining(", ")),
                        VmBudgets.NAME,
                        Torpor.VM_LABEL);
    }
}
