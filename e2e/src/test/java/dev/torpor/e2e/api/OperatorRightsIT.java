package dev.torpor.e2e.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.v1alpha1.RestorePhase;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.e2e.cluster.ControlPlane;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The operator's own process with the token of its pod: it can do its work, and not much else. */
@Tag("api")
@ExtendWith(InstalledChartExtension.class)
class OperatorRightsIT {
    @Test
    void savesRestoresAndDeletesWithTheRightsOfTheChart(InstalledChart chart) {
        ControlPlane cluster = chart.cluster();
        OperatorScene scene = new OperatorScene(cluster, cluster.createNamespace("vms"));
        SimulatedAgent agent = new SimulatedAgent(cluster.client());
        try (SimulatedNode node = SimulatedNode.create(cluster, InstalledChart.NAMESPACE, "rights-1");
                OperatorUnderTest operator =
                        OperatorUnderTest.startAs(chart.operator(), "--namespace", InstalledChart.NAMESPACE)) {
            scene.readySnapshot(node, agent, "web-1", "web", SaveMode.Save);
            scene.restore("back", "web-1");
            agent.imageChecked(scene.awaitRestore("back", RestorePhase.Starting));
            scene.awaitRestore("back", "pod", seen -> seen.getStatus().getPod() != null);
            assertThat(scene.pod("web-pod").getMetadata().getAnnotations()).containsKey(Torpor.RESTORE_ANNOTATION);
            agent.resumed(scene.restore("back"));
            scene.awaitRestore("back", RestorePhase.Running);
            scene.awaitSnapshot("web-1", SnapshotPhase.Consumed);

            await().atMost(OperatorScene.TIMEOUT).untilAsserted(() -> assertThat(scene.eventReasons("web-1"))
                    .contains("Bound", "StoppingVM", "Restorable", "Consumed"));
            assertThat(cluster.client()
                            .leases()
                            .inNamespace(InstalledChart.NAMESPACE)
                            .withName("torpor-operator")
                            .get()
                            .getSpec()
                            .getHolderIdentity())
                    .isNotEmpty();
            operator.terminate();
            assertThat(operator.log()).contains("gave the lease back").doesNotContainIgnoringCase("forbidden");
        }
    }

    @Test
    void withoutAWebhookItRemovesTheBudgetsThatWereLeftAndThoseOnly(InstalledChart chart) {
        ControlPlane cluster = chart.cluster();
        String namespace = cluster.createNamespace("vms");
        for (String name : List.of("torpor-vms", "mine")) {
            cluster.kubectl("create", "pdb", name, "--selector=torpor.dev/vm", "--min-available=1", "-n", namespace);
        }
        cluster.kubectl(
                "label",
                "pdb",
                "torpor-vms",
                "app.kubernetes.io/part-of=torpor",
                "app.kubernetes.io/managed-by=torpor-operator",
                "-n",
                namespace);
        try (OperatorUnderTest operator =
                OperatorUnderTest.startAs(chart.operator(), "--namespace", InstalledChart.NAMESPACE)) {
            await().atMost(OperatorScene.TIMEOUT).untilAsserted(() -> assertThat(cluster.client()
                            .policy()
                            .v1()
                            .podDisruptionBudget()
                            .inNamespace(namespace)
                            .list()
                            .getItems())
                    .singleElement()
                    .satisfies(left -> assertThat(left.getMetadata().getName()).isEqualTo("mine")));
            operator.terminate();
            assertThat(operator.log()).doesNotContainIgnoringCase("forbidden");
        }
    }

    @Test
    void keepsANodeForItsImagesAndChangesNothingElseOfIt(InstalledChart chart) {
        ControlPlane cluster = chart.cluster();
        OperatorScene scene = new OperatorScene(cluster, cluster.createNamespace("vms"));
        SimulatedAgent agent = new SimulatedAgent(cluster.client());
        try (SimulatedNode node = SimulatedNode.create(cluster, InstalledChart.NAMESPACE, "kept-1");
                OperatorUnderTest operator =
                        OperatorUnderTest.startAs(chart.operator(), "--namespace", InstalledChart.NAMESPACE)) {
            scene.readySnapshot(node, agent, "web-1", "web", SaveMode.Save);
            await().atMost(OperatorScene.TIMEOUT).untilAsserted(() -> assertThat(annotations(cluster, "kept-1"))
                    .containsEntry("cluster-autoscaler.kubernetes.io/scale-down-disabled", "true")
                    .containsEntry("karpenter.sh/do-not-disrupt", "true"));
            // One that keeps a right that the policy cuts down could be missed by its effect alone.
            for (String[] change : new String[][] {
                {"label", "node", "kept-1", "evil=yes"},
                {"cordon", "kept-1"},
                {"taint", "node", "kept-1", "evil=yes:NoExecute"},
                {"annotate", "node", "kept-1", "evil=yes"},
            }) {
                assertThat(chart.kubectlOf(chart.operator()).tryRun(change).output())
                        .as(String.join(" ", change))
                        .contains("torpor-operator changes no");
            }
            agent.imageIs(scene.snapshot("web-1"), false, "Consumed", "");
            await().atMost(OperatorScene.TIMEOUT).untilAsserted(() -> assertThat(annotations(cluster, "kept-1"))
                    .doesNotContainKeys(
                            "cluster-autoscaler.kubernetes.io/scale-down-disabled",
                            "karpenter.sh/do-not-disrupt",
                            Torpor.HELD_BY_ANNOTATION));
            operator.terminate();
            assertThat(operator.log()).doesNotContainIgnoringCase("forbidden");
        }
    }

    private static Map<String, String> annotations(ControlPlane cluster, String node) {
        return Objects.requireNonNullElse(
                cluster.client().nodes().withName(node).require().getMetadata().getAnnotations(), Map.of());
    }

    @ParameterizedTest
    @CsvSource({
        "update,vmsnapshots",
        "delete,vmsnapshots",
        "update,pods",
        "patch,vmsnapshotclasses",
        "get,secrets",
        "update,secrets",
        "list,secrets",
        "update,nodes",
        "delete,nodes",
        "delete,poddisruptionbudgets.policy",
        "delete,leases.coordination.k8s.io",
        "create,rolebindings.rbac.authorization.k8s.io",
        "create,deployments.apps",
        "patch,statefulsets.apps",
        "patch,controllerrevisions.apps",
        "delete,controllerrevisions.apps",
        "create,mutatingwebhookconfigurations.admissionregistration.k8s.io",
        "impersonate,users"
    })
    void hasNoRightTo(String verb, String resource, InstalledChart chart) {
        assertThat(chart.kubectlOf(chart.operator())
                        .tryRun("auth", "can-i", verb, resource, "-n", InstalledChart.NAMESPACE)
                        .output()
                        .strip()
                        .lines()
                        .toList()
                        .getLast())
                .isEqualTo("no");
    }
}
