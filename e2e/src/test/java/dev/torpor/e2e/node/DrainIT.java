package dev.torpor.e2e.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.guest.Tick;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** A drain as an administrator does it: the node's VMs sleep through it, and wake up after the uncordon. */
@Tag("node")
@ExtendWith(InstalledTorporExtension.class)
class DrainIT {
    private static final Duration PATIENCE = Duration.ofMinutes(3);

    @Test
    void vmsSleepThroughADrainAndWakeUpByThemselves(Scene scene) {
        scene.apply(VmManifest.of("db").memory(256, 64).statefulSet());
        scene.apply(VmManifest.of("mq").memory(192, 16).statefulSet());
        scene.apply(VmManifest.of("web").pod());
        Map<String, Tick> before = new LinkedHashMap<>();
        for (String pod : new String[] {"db-0", "mq-0", "web"}) {
            before.put(pod, scene.awaitTick(pod));
        }
        String node = scene.cluster.node().name();
        try {
            // Only VMs: the operator, which saves them, is on this node too, as there is no other.
            String said = scene.kubectl(
                    "drain",
                    node,
                    "--ignore-daemonsets",
                    "--delete-emptydir-data",
                    "--force",
                    "--pod-selector=torpor.dev/vm",
                    "--timeout=3m");
            assertThat(said).contains("node/" + node + " drained");
            before.keySet().forEach(pod -> await(pod + " is held")
                    .atMost(PATIENCE)
                    .ignoreExceptions()
                    .untilAsserted(() -> assertThat(scene.field("pod/" + pod, ".spec.schedulingGates[*].name"))
                            .isEqualTo("torpor.dev/saved")));
        } finally {
            scene.kubectl("uncordon", node);
        }
        before.forEach(scene::awaitGoingOn);
        await("all images are consumed").atMost(PATIENCE).untilAsserted(() -> assertThat(
                        scene.kubectl("get", "vmsnap", "-o", "jsonpath={.items[*].status.phase}"))
                .isEqualTo("Consumed Consumed Consumed"));
    }
}
