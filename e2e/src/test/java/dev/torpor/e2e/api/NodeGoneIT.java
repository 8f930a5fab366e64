package dev.torpor.e2e.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.e2e.cluster.ControlPlane;
import dev.torpor.e2e.cluster.ControlPlaneExtension;
import dev.torpor.e2e.cluster.FreePorts;
import dev.torpor.e2e.cluster.TestNamespace;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.Pod;
import java.time.Duration;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ThreadLocalRandom;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** A node with the only memory of a VM is deleted for good, and another one comes under its name. */
@Tag("api")
@ExtendWith(ControlPlaneExtension.class)
class NodeGoneIT {
    private static final Duration TIMEOUT = Duration.ofSeconds(90);

    @Test
    void theVmStaysStoppedUntilItsMemoryIsGivenUpAndBootsElsewhereThen(
            ControlPlane cluster, @TestNamespace String namespace) {
        String system = cluster.createNamespace("gone-system");
        int port = FreePorts.take();
        String name = "gone-" + ThreadLocalRandom.current().nextInt(1_000_000);
        OperatorScene scene = new OperatorScene(cluster, namespace);
        try (OperatorUnderTest _ = OperatorUnderTest.start(
                        cluster,
                        "--namespace",
                        system,
                        "--no-leader-election",
                        "--webhook-port",
                        Integer.toString(port),
                        "--launcher-image",
                        "torpor-launcher:local");
                WebhookUnderTest webhook = WebhookUnderTest.configure(cluster, port, port, namespace);
                HollowAgent agent = HollowAgent.start(cluster.client(), namespace)) {
            webhook.awaitInForce(namespace);
            try (HollowNode _ = HollowNode.start(cluster, system, name)) {
                statefulSet(cluster, namespace);
                await("it runs").atMost(TIMEOUT).ignoreExceptions().until(() -> "Running"
                        .equals(scene.pod("db-0").getStatus().getPhase()));
                agent.commit();
                cluster.kubectl("cordon", name);
                scene.create("db-saved", OperatorScene.spec("db", SaveMode.ManagedSave, null, 300));
                scene.awaitSnapshot("db-saved", SnapshotPhase.Ready);
                awaitHeld(scene);
                await("autoscalers are kept off").atMost(TIMEOUT).untilAsserted(() -> assertThat(
                                annotations(cluster, name))
                        .containsEntry("cluster-autoscaler.kubernetes.io/scale-down-disabled", "true")
                        .containsEntry("karpenter.sh/do-not-disrupt", "true"));
            }
            awaitNodeGone(scene, "Node " + name + " is gone.");

            try (HollowNode _ = HollowNode.start(cluster, system, name);
                    HollowNode other = HollowNode.start(cluster, system, name + "-other")) {
                awaitNodeGone(scene, "Node " + name + " was replaced by another one of that name.");
                assertThat(annotations(cluster, name)).doesNotContainKey(Torpor.HELD_BY_ANNOTATION);
                // A pod that is made anew is held, too, and says why.
                Pod held = awaitHeld(scene);
                cluster.kubectl("delete", "pod", "db-0", "-n", namespace);
                await("another pod").atMost(TIMEOUT).ignoreExceptions().until(() -> !scene.pod("db-0")
                        .getMetadata()
                        .getUid()
                        .equals(held.getMetadata().getUid()));
                awaitHeld(scene);
                assertThat(cluster.kubectl("get", "vmrestore", "-n", namespace)).doesNotContain("db-saved");

                cluster.kubectl("cordon", name);
                cluster.kubectl("annotate", "vmsnapshot", "db-saved", "-n", namespace, "torpor.dev/discard=true");
                cluster.kubectl("delete", "vmsnapshot", "db-saved", "-n", namespace, "--timeout=60s");
                await("it boots elsewhere").atMost(TIMEOUT).ignoreExceptions().untilAsserted(() -> {
                    Pod pod = scene.pod("db-0");
                    assertThat(pod.getStatus().getPhase()).isEqualTo("Running");
                    assertThat(pod.getSpec().getNodeName()).isEqualTo(other.name());
                    assertThat(pod.getMetadata().getAnnotations()).doesNotContainKey(Torpor.RESTORE_ANNOTATION);
                });
            }
        }
    }

    private static void awaitNodeGone(OperatorScene scene, String message) {
        await("NodeGone: " + message).atMost(TIMEOUT).untilAsserted(() -> {
            assertThat(scene.snapshot("db-saved").getStatus().getPhase()).isNotEqualTo(SnapshotPhase.Consumed);
            Condition ready = OperatorScene.conditions(scene.snapshot("db-saved")).stream()
                    .filter(each -> "Ready".equals(each.getType()))
                    .findFirst()
                    .orElseThrow();
            assertThat(ready.getReason()).isEqualTo("NodeGone");
            assertThat(ready.getMessage())
                    .startsWith(message)
                    .contains("VM db stays stopped.", "kubectl annotate vmsnapshot db-saved torpor.dev/discard=true");
        });
    }

    private static Pod awaitHeld(OperatorScene scene) {
        return await("it is held")
                .atMost(TIMEOUT)
                .ignoreExceptions()
                .until(
                        () -> scene.pod("db-0"),
                        pod -> pod.getMetadata().getDeletionTimestamp() == null
                                && pod.getSpec().getSchedulingGates().stream()
                                        .anyMatch(gate -> Torpor.SAVED_GATE.equals(gate.getName())));
    }

    private static Map<String, String> annotations(ControlPlane cluster, String node) {
        return Objects.requireNonNullElse(
                cluster.client().nodes().withName(node).require().getMetadata().getAnnotations(), Map.of());
    }

    private static void statefulSet(ControlPlane cluster, String namespace) {
        cluster.kubectl().runWithInput("""
                        apiVersion: apps/v1
                        kind: StatefulSet
                        metadata: {name: db}
                        spec:
                          replicas: 1
                          serviceName: db
                          updateStrategy: {type: OnDelete}
                          selector: {matchLabels: {app: db}}
                          template:
                            metadata: {labels: {app: db, torpor.dev/vm: db}}
                            spec:
                              terminationGracePeriodSeconds: 1
                              containers:
                              - {name: qemu, image: vm, command: [qemu-system-x86_64], args: [-machine, pc-q35-10.0]}
                        """, "apply", "-n", namespace, "-f", "-");
    }
}
