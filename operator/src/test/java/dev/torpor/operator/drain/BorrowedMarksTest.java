package dev.torpor.operator.drain;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.operator.step.StepHook;
import dev.torpor.operator.vm.TestCluster;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.dsl.base.CustomResourceDefinitionContext;
import io.fabric8.kubernetes.client.server.mock.EnableKubernetesMockClient;
import io.fabric8.kubernetes.client.server.mock.KubernetesMockServer;
import org.junit.jupiter.api.Test;

/** What a drain makes passes for nobody's: a tool that prunes takes no VM's memory for something that left its repository. */
@EnableKubernetesMockClient(crud = true, https = false)
@SuppressWarnings("NullAway.Init")
class BorrowedMarksTest {
    private KubernetesMockServer server;
    private KubernetesClient client;

    @Test
    void saveOfADrainHasNone() {
        server.expectCustomResource(CustomResourceDefinitionContext.fromCustomResourceType(VMSnapshot.class));
        TestCluster cluster = new TestCluster(client);
        new DrainSaves(client, cluster.clock(), StepHook.NONE)
                .begin(
                        new PodBuilder(Drained.pod())
                                .editMetadata()
                                .addToLabels("app.kubernetes.io/instance", "shop")
                                .addToLabels("kustomize.toolkit.fluxcd.io/name", "shop")
                                .addToAnnotations("argocd.argoproj.io/tracking-id", "shop")
                                .endMetadata()
                                .build(),
                        DrainCause.Cordon,
                        1);

        assertThat(client.resources(VMSnapshot.class).inNamespace("vms").list().getItems())
                .singleElement()
                .satisfies(save -> {
                    assertThat(save.getMetadata().getLabels()).isEmpty();
                    assertThat(save.getMetadata().getOwnerReferences()).isEmpty();
                    assertThat(save.getMetadata().getAnnotations().keySet())
                            .isNotEmpty()
                            .allMatch(key -> key.startsWith("torpor.dev/"));
                });
    }

    @Test
    void budgetHasOnlyItsOwn() {
        assertThat(VmBudgets.make("vms").getMetadata().getLabels())
                .containsOnlyKeys("app.kubernetes.io/part-of", "app.kubernetes.io/managed-by");
        assertThat(VmBudgets.make("vms").getMetadata().getAnnotations()).containsOnlyKeys("kubernetes.io/description");
    }
}
