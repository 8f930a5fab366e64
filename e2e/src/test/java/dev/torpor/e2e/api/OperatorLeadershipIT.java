package dev.torpor.e2e.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.cluster.ControlPlane;
import dev.torpor.e2e.cluster.ControlPlaneExtension;
import dev.torpor.e2e.cluster.TestNamespace;
import io.fabric8.kubernetes.api.model.coordination.v1.Lease;
import java.time.Duration;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Two operators, of which one works. */
@Tag("api")
@ExtendWith(ControlPlaneExtension.class)
class OperatorLeadershipIT {
    /** Without the hand-over the second one waits until the lease of 15 s runs out. */
    private static final Duration TIMEOUT = Duration.ofSeconds(30);

    @Test
    void secondOperatorTakesOverWhenTheFirstIsTold(ControlPlane cluster, @TestNamespace String namespace) {
        String system = cluster.createNamespace("lead-system");
        OperatorScene scene = new OperatorScene(cluster, namespace);
        try (OperatorUnderTest first = start(cluster, system, "first")) {
            awaitHolder(cluster, system, "first");
            try (OperatorUnderTest second = start(cluster, system, "second")) {
                scene.create("before", OperatorScene.save("web"));
                scene.awaitSnapshotReason("before", "VMNotFound");
                awaitLog(first, "VMSnapshot " + namespace + "/before");
                assertThat(second.log()).doesNotContain("/before");

                first.terminate();

                assertThat(first.log()).contains("first gave the lease back");
                awaitHolder(cluster, system, "second");
                scene.create("after", OperatorScene.save("web"));
                scene.awaitSnapshotReason("after", "VMNotFound");
                awaitLog(second, "VMSnapshot " + namespace + "/after");
            }
        }
    }

    private static OperatorUnderTest start(ControlPlane cluster, String system, String identity) {
        return OperatorUnderTest.start(cluster, "--namespace", system, "--identity", identity);
    }

    // Status is written first, and the line after it.
    private static void awaitLog(OperatorUnderTest operator, String text) {
        await().atMost(TIMEOUT).untilAsserted(() -> assertThat(operator.log()).contains(text));
    }

    private static void awaitHolder(ControlPlane cluster, String system, String identity) {
        await("leader").atMost(TIMEOUT).until(() -> {
            Lease lease = cluster.client()
                    .leases()
                    .inNamespace(system)
                    .withName("torpor-operator")
                    .get();
            return lease != null && identity.equals(lease.getSpec().getHolderIdentity());
        });
    }
}
