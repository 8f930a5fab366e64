package dev.torpor.operator.drain;

import dev.torpor.api.v1alpha1.Torpor;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudget;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudgetBuilder;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudgetSpec;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudgetSpecBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.util.Map;

/**
 * The PodDisruptionBudgets that keep VMs from being evicted while nobody answers for them. They ask for more healthy pods
 * than there can be: a budget of unavailable pods is computed from the pods' controllers, and where bare pods are mixed
 * with others it comes out wrong by one VM.
 */
public final class VmBudgets {
    /** Name of the one in each namespace with VMs. */
    public static final String NAME = "torpor-vms";

    private static final int MORE_THAN_THERE_ARE = Integer.MAX_VALUE;
    private static final Map<String, String> LABELS =
            Map.of("app.kubernetes.io/part-of", "torpor", "app.kubernetes.io/managed-by", Torpor.OPERATOR_MANAGER);

    private VmBudgets() {}

    /**
     * Deletes all of them, as before an uninstall: without Torpor they would hold up every drain for ever.
     *
     * @return how many there were
     */
    public static int removeAll(KubernetesClient client) {
        var all =
                client
                        .policy()
                        .v1()
                        .podDisruptionBudget()
                        .inAnyNamespace()
                        .withLabels(LABELS)
                        .list()
                        .getItems()
                        .stream()
                        .filter(VmBudgets::isOurs)
                        .toList();
        all.forEach(budget -> client.policy()
                .v1()
                .podDisruptionBudget()
                .inNamespace(budget.getMetadata().getNamespace())
                .withName(NAME)
                .delete());
        return all.size();
    }

    static PodDisruptionBudget make(String namespace) {
        return new PodDisruptionBudgetBuilder()
                .withNewMetadata()
                .withNamespace(namespace)
                .withName(NAME)
                .withLabels(LABELS)
                .addToAnnotations(
                        "kubernetes.io/description",
                        "Keeps VMs (pods with the label torpor.dev/vm) from being evicted: Torpor saves them and deletes their pods then.")
                .endMetadata()
                .withSpec(spec())
                .build();
    }

    static PodDisruptionBudgetSpec spec() {
        return new PodDisruptionBudgetSpecBuilder()
                .withNewMinAvailable(MORE_THAN_THERE_ARE)
                .withNewSelector()
                .addNewMatchExpression()
                .withKey(Torpor.VM_LABEL)
                .withOperator("Exists")
                .endMatchExpression()
                .endSelector()
                .build();
    }

    static boolean isOurs(PodDisruptionBudget budget) {
        return NAME.equals(budget.getMetadata().getName())
                && budget.getMetadata().getLabels() != null
                && budget.getMetadata().getLabels().entrySet().containsAll(LABELS.entrySet());
    }
}
