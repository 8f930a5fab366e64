package dev.torpor.e2e.standin;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.e2e.cluster.Child;
import dev.torpor.e2e.cluster.StandInNode;
import dev.torpor.e2e.cluster.StandInPod;
import dev.torpor.e2e.guest.Tick;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodSchedulingGate;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * Two nodes are drained at once, each with its own store: they do not wait for each other, and each keeps its VMs. The default
 * class asks for compression, so what is saved, and started again, are recorded channels.
 */
@Tag("standin")
class TwoNodesIT {
    private static final String OTHER = "stand-in-2";

    @Test
    void eachNodesVmsAreSavedThereAndGoOnThereWhenThatNodeIsBack() throws Exception {
        try (StandInCluster cluster = StandInCluster.withWebhook()) {
            cluster.controlPlane.kubectl().runWithInput("""
                            {"apiVersion": "torpor.dev/v1alpha1", "kind": "VMSnapshotClass",
                             "metadata": {"name": "small", "annotations": {"torpor.dev/is-default-class": "true"}},
                             "spec": {"parallel": {"compression": "Zstd"}}}
                            """, "apply", "-f", "-");
            StandInNode other = cluster.addNode(OTHER);
            Map<String, String> nodes = Map.of("a", StandInCluster.NODE, "b", StandInCluster.NODE, "c", OTHER);
            Map<String, Tick> ticks = new LinkedHashMap<>();
            for (String vm : List.of("a", "b", "c")) {
                StandInPod pod = cluster.startVmOn(requireNonNull(nodes.get(vm)), vm);
                ticks.put(vm, pod.lastTick().orElseThrow());
            }

            try (Child one = drain(cluster, StandInCluster.NODE);
                    Child two = drain(cluster, OTHER)) {
                assertThat(one.process().waitFor()).as(one.logTail(20)).isZero();
                assertThat(two.process().waitFor()).as(two.logTail(20)).isZero();
            }
            for (String vm : ticks.keySet()) {
                await("pod " + vm + " held").atMost(StandInCluster.PATIENCE).until(() -> isHeld(cluster, vm));
            }

            assertThat(cluster.controlPlane
                            .kubectl(
                                    "get",
                                    "vmsnapshots",
                                    "-n",
                                    cluster.namespace,
                                    "-o",
                                    "jsonpath={range .items[*]}{.status.engine} {.status.compression}{\"\\n\"}{end}")
                            .lines())
                    .hasSize(3)
                    .containsOnly("multifd-stream Zstd");

            cluster.controlPlane.kubectl("uncordon", OTHER);
            StandInCluster.awaitGoingOn(cluster.pod("c"), requireNonNull(ticks.get("c")));
            assertThat(other.runs(cluster.namespace, "c")).isTrue();
            assertThat(isHeld(cluster, "a")).isTrue();
            assertThat(isHeld(cluster, "b")).isTrue();

            cluster.controlPlane.kubectl("uncordon", StandInCluster.NODE);
            for (String vm : List.of("a", "b")) {
                StandInCluster.awaitGoingOn(cluster.pod(vm), requireNonNull(ticks.get(vm)));
                assertThat(other.runs(cluster.namespace, vm)).isFalse();
            }
        }
    }

    private static Child drain(StandInCluster cluster, String node) {
        return Child.start(
                "drain of " + node,
                cluster.controlPlane.directory().resolve("drain-" + node + ".log"),
                Map.of("KUBECONFIG", cluster.controlPlane.kubeconfig().toString()),
                List.of(
                        cluster.controlPlane.binaries().path("kubectl").toString(),
                        "drain",
                        node,
                        "--ignore-daemonsets",
                        "--delete-emptydir-data",
                        "--force",
                        "--timeout=300s"));
    }

    private static boolean isHeld(StandInCluster cluster, String vm) {
        Pod pod = cluster.client
                .pods()
                .inNamespace(cluster.namespace)
                .withName(vm)
                .get();
        return pod != null
                && pod.getSpec().getSchedulingGates().stream()
                        .map(PodSchedulingGate::getName)
                        .anyMatch(Torpor.SAVED_GATE::equals);
    }
}
