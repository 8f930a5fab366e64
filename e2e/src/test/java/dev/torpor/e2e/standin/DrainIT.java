package dev.torpor.e2e.standin;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.e2e.standin.StandInCluster.AgentOptions;
import io.fabric8.kubernetes.client.Watch;
import io.fabric8.kubernetes.client.Watcher;
import io.fabric8.kubernetes.client.WatcherException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** A node whose agent saves one VM at a time, to a slow disk: what those who evict are told, and who goes first. */
@Tag("standin")
class DrainIT {
    @Test
    void evictionsTellHowFarTheirSavesAreAndOfThoseThatWaitTheSmallestGoesFirst() throws Exception {
        try (StandInCluster cluster = StandInCluster.withWebhook()) {
            // Each save is held at its end, so that what is said meanwhile does not depend on how long it takes.
            cluster.restartAgent(
                    new AgentOptions("wait before SAVE_COMMIT", 60, 0, Map.of("TORPOR_TEST_SAVES_AT_ONCE", "1")));
            cluster.controlPlane.kubectl().runWithInput("""
                            {"apiVersion": "torpor.dev/v1alpha1", "kind": "VMSnapshotClass",
                             "metadata": {"name": "slow", "annotations": {"torpor.dev/is-default-class": "true"}},
                             "spec": {"bandwidthBytesPerSecond": 12582912}}
                            """, "apply", "-f", "-");
            cluster.startVmWithRequest("first", 224, 96);
            cluster.startVmWithRequest("large", 192, 0);
            cluster.startVmWithRequest("small", 160, 0);
            cluster.controlPlane.kubectl("cordon", StandInCluster.NODE);
            List<String> saved = new CopyOnWriteArrayList<>();
            try (Watch _ = cluster.client
                    .resources(VMSnapshot.class)
                    .inNamespace(cluster.namespace)
                    .watch(new Recorder(saved))) {
                awaitAnswer(cluster, "first", "torpor: saving VM first: [0-9.]+ of [0-9.]+ MiB, [0-9]+ s left");
                assertThat(cluster.evict("large")).contains("torpor: saving VM large: it begins");
                awaitAnswer(cluster, "large", "torpor: saving VM large: queued behind 1 other of node stand-in-1");
                awaitAnswer(cluster, "small", "torpor: saving VM small: queued behind 1 other of node stand-in-1");
                awaitAnswer(cluster, "large", "torpor: saving VM large: queued behind 2 others of node stand-in-1");
                assertThat(saved)
                        .as("all that while the first one is being saved")
                        .isEmpty();
                for (String vm : List.of("first", "small", "large")) {
                    cluster.awaitAgentWaiting();
                    cluster.letAgentGoOn();
                    await(vm + " is held").atMost(StandInCluster.PATIENCE).until(() -> cluster.gates(vm)
                            .equals(List.of(Torpor.SAVED_GATE)));
                }
                // The watch may be behind.
                await("the order").atMost(StandInCluster.PATIENCE).untilAsserted(() -> assertThat(saved)
                        .containsExactly("first", "small", "large"));
            }
        }
    }

    private static void awaitAnswer(StandInCluster cluster, String pod, String pattern) {
        await(pod + ": " + pattern).atMost(StandInCluster.PATIENCE).untilAsserted(() -> assertThat(cluster.evict(pod))
                .containsPattern(pattern));
    }

    /** Writes down the VMs in the order in which they are saved. */
    private record Recorder(List<String> saved) implements Watcher<VMSnapshot> {
        @Override
        public void eventReceived(Action action, VMSnapshot snapshot) {
            String vm = snapshot.getSpec().vmName();
            if (snapshot.getStatus() != null
                    && Conditions.isTrue(snapshot.getStatus().getConditions(), ConditionType.SAVED)
                    && !saved.contains(vm)) {
                saved.add(vm);
            }
        }

        @Override
        public void onClose(WatcherException e) {}
    }
}
