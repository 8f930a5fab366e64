package dev.torpor.e2e.node;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.e2e.install.InstalledTorpor;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What `helm install` leaves is whole: processes, leader, webhook, rights, metrics. */
@Tag("node")
@ExtendWith(InstalledTorporExtension.class)
class InstallationIT {
    @Test
    void twoOperatorsServeAndOneLeads(Scene scene) {
        InstalledTorpor torpor = scene.torpor;
        assertThat(torpor.pods("operator")).hasSize(2).allSatisfy(pod -> {
            assertThat(torpor.http(pod, "readyz")).contains("informers: ok", "webhook: ok");
            assertThat(torpor.http(pod, "livez")).contains("steps: ok");
        });
        assertThat(torpor.pods("operator")).contains(torpor.leader());
    }

    @Test
    void anAgentOfThisNodeTellsOfItsStore(Scene scene) {
        assertThat(scene.torpor.pods("agent")).hasSize(1);
        String lease = scene.cluster
                .kubectl()
                .run(
                        "get",
                        "lease",
                        "-n",
                        InstalledTorpor.NAMESPACE,
                        "torpor-" + scene.cluster.node().name(),
                        "-o",
                        "yaml");
        assertThat(lease).contains("torpor.dev/store-id");
    }

    @Test
    void bothTellTheirMetrics(Scene scene) {
        InstalledTorpor torpor = scene.torpor;
        for (String part : new String[] {"operator", "agent"}) {
            assertThat(torpor.http(torpor.pods(part).getFirst(), "metrics"))
                    .contains("# HELP torpor_")
                    .contains("# TYPE torpor_");
        }
    }

    @Test
    void theWebhookIsCalledThroughItsService(Scene scene) {
        String bundles = scene.cluster
                .kubectl()
                .run(
                        "get",
                        "mutatingwebhookconfiguration/torpor",
                        "validatingwebhookconfiguration/torpor",
                        "-o",
                        "jsonpath={.items[*].webhooks[*].clientConfig.caBundle}");
        assertThat(bundles.split(" ", -1)).hasSizeGreaterThanOrEqualTo(2).doesNotContain("");
        assertThat(dryRun(scene, scene.namespace)).contains("torpor-launcher", "/run/torpor/bin/launch");
    }

    /** Or it could lock itself out, and what it needs. */
    @ParameterizedTest
    @ValueSource(strings = {"kube-system", InstalledTorpor.NAMESPACE})
    void theWebhookLeavesTheseNamespacesAlone(String namespace, Scene scene) {
        assertThat(dryRun(scene, namespace)).contains("torpor.dev/vm: dry").doesNotContain("torpor-launcher");
    }

    private static String dryRun(Scene scene, String namespace) {
        return scene.kubectl.runWithInput(
                VmManifest.of("dry").pod(), "create", "-n", namespace, "--dry-run=server", "-o", "yaml", "-f", "-");
    }
}
