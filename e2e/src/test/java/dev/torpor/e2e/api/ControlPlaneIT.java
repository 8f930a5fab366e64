package dev.torpor.e2e.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.cluster.ControlPlane;
import dev.torpor.e2e.cluster.ControlPlaneExtension;
import dev.torpor.e2e.cluster.Kubectl;
import dev.torpor.e2e.cluster.TestNamespace;
import java.time.Duration;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** The control plane that other tests stand on. */
@Tag("api")
@ExtendWith(ControlPlaneExtension.class)
class ControlPlaneIT {
    @Test
    void nodeIdentityMayTouchOnlyItsOwnNode(ControlPlane cluster) {
        String node = """
                apiVersion: v1
                kind: Node
                metadata: {name: identity-1}
                """;
        Kubectl own = cluster.kubectlOf(cluster.kubeconfigOfNode("identity-1"));
        Kubectl other = cluster.kubectlOf(cluster.kubeconfigOfNode("identity-2"));

        assertThat(other.tryWithInput(node, "create", "-f", "-").output()).contains("forbidden");
        assertThat(own.runWithInput(node, "create", "-f", "-")).contains("node/identity-1 created");
        cluster.kubectl("delete", "node", "identity-1");
    }

    @Test
    void serviceAccountTokenIsAccepted(ControlPlane cluster, @TestNamespace String namespace) {
        Kubectl kubectl = cluster.kubectlOf(cluster.kubeconfigOfServiceAccount(namespace, "default"));

        assertThat(kubectl.run("auth", "whoami")).contains("system:serviceaccount:" + namespace + ":default");
    }

    @Test
    void podsAreScheduledAndNamespacesEmptied(ControlPlane cluster, @TestNamespace String namespace) {
        cluster.kubectl("create", "configmap", "-n", namespace, "left-behind");
        cluster.kubectl("run", "-n", namespace, "pod", "--image=none");

        await().atMost(Duration.ofMinutes(1)).untilAsserted(() -> assertThat(cluster.client()
                        .pods()
                        .inNamespace(namespace)
                        .withName("pod")
                        .get()
                        .getStatus()
                        .getConditions())
                .anyMatch(condition -> "Unschedulable".equals(condition.getReason())));
        cluster.kubectl("delete", "namespace", namespace, "--timeout=120s");
    }
}
