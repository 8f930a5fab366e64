package dev.torpor.operator.drain;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.operator.event.EventRecorder;
import dev.torpor.operator.step.StepHook;
import dev.torpor.operator.vm.TestCluster;
import io.fabric8.kubernetes.api.model.Event;
import io.fabric8.kubernetes.api.model.IntOrString;
import io.fabric8.kubernetes.api.model.LabelSelectorBuilder;
import io.fabric8.kubernetes.api.model.admissionregistration.v1.ValidatingWebhookConfigurationBuilder;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudget;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudgetBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.server.mock.EnableKubernetesMockClient;
import io.fabric8.kubernetes.client.server.mock.KubernetesMockServer;
import java.time.InstantSource;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

@EnableKubernetesMockClient(crud = true, https = false)
@SuppressWarnings("NullAway.Init")
class BudgetReconcilerTest {
    private KubernetesMockServer server;
    private KubernetesClient client;
    private BudgetReconciler reconciler;

    @BeforeEach
    void startController() {
        reconciler = reconciler(_ -> true);
        client.resource(new ValidatingWebhookConfigurationBuilder()
                        .withNewMetadata()
                        .withName("torpor")
                        .endMetadata()
                        .addNewWebhook()
                        .withName("evictions.torpor.dev")
                        .endWebhook()
                        .build())
                .create();
    }

    @Test
    void aNamespaceWithAVmHasOneBudgetThatAllowsNothing() {
        client.resource(Drained.pod()).create();

        step();
        step();

        assertThat(budgets()).singleElement().satisfies(budget -> {
            assertThat(budget.getMetadata().getName()).isEqualTo("torpor-vms");
            assertThat(budget.getSpec().getMinAvailable()).isEqualTo(new IntOrString(2147483647));
            assertThat(budget.getSpec().getMaxUnavailable()).isNull();
            assertThat(budget.getSpec().getUnhealthyPodEvictionPolicy()).isNull();
            assertThat(budget.getSpec().getSelector().getMatchExpressions())
                    .singleElement()
                    .satisfies(expression -> {
                        assertThat(expression.getKey()).isEqualTo("torpor.dev/vm");
                        assertThat(expression.getOperator()).isEqualTo("Exists");
                    });
        });
    }

    @Test
    void itGoesWithTheLastVm() throws Exception {
        client.resource(Drained.pod()).create();
        step();
        String seen = budgets().getFirst().getMetadata().getResourceVersion();
        client.pods().inNamespace("vms").withName("web-0").delete();
        step();
        assertThat(budgets()).isEmpty();
        assertThat(TestCluster.lastDeletion(server, "torpor-vms")
                        .getPreconditions()
                        .getResourceVersion())
                .isEqualTo(seen);
    }

    @Test
    void aBudgetOfOursThatSomebodyChangedIsMended() {
        client.resource(Drained.pod()).create();
        step();
        client.policy()
                .v1()
                .podDisruptionBudget()
                .inNamespace("vms")
                .withName("torpor-vms")
                .edit(budget -> new PodDisruptionBudgetBuilder(budget)
                        .editSpec()
                        .withNewMinAvailable(1)
                        .endSpec()
                        .build());
        step();
        assertThat(budgets().getFirst().getSpec().getMinAvailable()).isEqualTo(new IntOrString(2147483647));
    }

    @Test
    void aBudgetOfSomebodyElseUnderOurNameIsLeftAndReported() {
        client.resource(Drained.pod()).create();
        client.resource(budget("torpor-vms", Map.of("app", "web"))).create();
        step();
        assertThat(budgets().getFirst().getSpec().getMinAvailable()).isEqualTo(new IntOrString(1));
        assertThat(events()).singleElement().satisfies(event -> assertThat(event.getMessage())
                .contains("has the name of Torpor's own"));
    }

    @Test
    void aSecondBudgetOnAVmIsReportedAndNoneOfAnotherPod() {
        client.resource(Drained.pod()).create();
        client.resource(budget("all", Map.of())).create();
        client.resource(budget("other", Map.of("app", "other"))).create();
        step();
        assertThat(budgets()).hasSize(3);
        assertThat(events()).singleElement().satisfies(event -> {
            assertThat(event.getReason()).isEqualTo("SecondBudget");
            assertThat(event.getInvolvedObject().getName()).isEqualTo("all");
            assertThat(event.getMessage()).startsWith("PodDisruptionBudget all selects pods of VMs (web-0)");
        });
    }

    @Test
    void withoutAWebhookThatAnswersNoBudgetIsMadeAndThoseThereStay() {
        client.resource(Drained.pod()).create();
        step();
        client.admissionRegistration()
                .v1()
                .validatingWebhookConfigurations()
                .withName("torpor")
                .delete();
        step();
        assertThat(budgets()).hasSize(1);

        assertThat(VmBudgets.removeAll(client)).isEqualTo(1);
        assertThat(reconciler.step("vms")).as("it looks again").isFalse();
        assertThat(budgets()).isEmpty();
    }

    @Test
    void whereEvictionsAreNeverAnsweredNoBudgetIsMadeAndOursGo() {
        client.resource(Drained.pod()).create();
        client.resource(budget("all", Map.of())).create();
        step();
        assertThat(budgets()).hasSize(2);
        int told = events().size();

        reconciler = reconciler(namespace -> !"vms".equals(namespace));
        step();
        step();
        assertThat(budgets())
                .singleElement()
                .satisfies(budget -> assertThat(budget.getMetadata().getName()).isEqualTo("all"));
        assertThat(events()).hasSize(told);
    }

    private BudgetReconciler reconciler(Predicate<String> answered) {
        return new BudgetReconciler(client, new EventRecorder(client, InstantSource.system()), answered, StepHook.NONE);
    }

    @Test
    void removingTakesOursOnly() {
        client.resource(budget("torpor-vms", Map.of())).create();
        assertThat(VmBudgets.removeAll(client)).isZero();
        assertThat(budgets()).hasSize(1);
    }

    @Test
    void selectorsSelectAsInPolicyV1() {
        Map<String, String> labels = Map.of("a", "1", "b", "2");
        assertThat(Selectors.matches(null, labels)).isFalse();
        assertThat(Selectors.matches(new LabelSelectorBuilder().build(), labels))
                .isTrue();
        assertThat(Selectors.matches(
                        new LabelSelectorBuilder().addToMatchLabels("a", "1").build(), labels))
                .isTrue();
        assertThat(Selectors.matches(
                        new LabelSelectorBuilder().addToMatchLabels("a", "2").build(), labels))
                .isFalse();
        assertThat(matches("a", "In", "1", "3")).isTrue();
        assertThat(matches("a", "In", "3")).isFalse();
        assertThat(matches("c", "In", "3")).isFalse();
        assertThat(matches("a", "NotIn", "1")).isFalse();
        assertThat(matches("c", "NotIn", "1")).isTrue();
        assertThat(matches("a", "Exists")).isTrue();
        assertThat(matches("c", "Exists")).isFalse();
        assertThat(matches("c", "DoesNotExist")).isTrue();
        assertThat(matches("a", "DoesNotExist")).isFalse();
    }

    private static boolean matches(String key, String operator, String... values) {
        return Selectors.matches(
                new LabelSelectorBuilder()
                        .addNewMatchExpression()
                        .withKey(key)
                        .withOperator(operator)
                        .withValues(values)
                        .endMatchExpression()
                        .build(),
                Map.of("a", "1", "b", "2"));
    }

    private static PodDisruptionBudget budget(String name, Map<String, String> selector) {
        return new PodDisruptionBudgetBuilder()
                .withNewMetadata()
                .withNamespace("vms")
                .withName(name)
                .withUid("uid-of-" + name)
                .endMetadata()
                .withNewSpec()
                .withNewMinAvailable(1)
                .withSelector(
                        new LabelSelectorBuilder().withMatchLabels(selector).build())
                .endSpec()
                .build();
    }

    private void step() {
        assertThat(reconciler.step("vms")).isTrue();
    }

    private List<PodDisruptionBudget> budgets() {
        return client.policy()
                .v1()
                .podDisruptionBudget()
                .inNamespace("vms")
                .list()
                .getItems();
    }

    private List<Event> events() {
        return client.v1().events().inNamespace("vms").list().getItems();
    }
}
