package dev.torpor.e2e.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.guest.Tick;
import java.time.Duration;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Ends of pods that no webhook sees, on a real kubelet: its hook has the agent save the VM, as the policy says. */
@Tag("node")
@ExtendWith(InstalledTorporExtension.class)
class TerminationIT {
    private static final Duration PATIENCE = Duration.ofMinutes(3);

    @Test
    void aTaintThatDrivesEverythingAwaySavesTheVmWithTheOperatorGoneToo(Scene scene) {
        scene.apply(VmManifest.of("db").memory(256, 32).grace(60).statefulSet());
        Tick before = scene.awaitTick("db-0");
        String uid = scene.field("pod/db-0", ".metadata.uid");
        String node = scene.cluster.node().name();
        scene.kubectl("taint", "node", node, "example.com/repair=now:NoExecute");
        try {
            await("the save in the NodeStore").atMost(PATIENCE).until(() -> scene.field(
                            "nodestore/" + node, ".status.terminationSaves[*].podUID")
                    .contains(uid));
            await("the pod is gone").atMost(PATIENCE).until(() -> !scene.tryKubectl(
                            "get", "pod", "db-0", "-o", "jsonpath={.metadata.uid}")
                    .output()
                    .contains(uid));
        } finally {
            scene.kubectl("taint", "node", node, "example.com/repair-");
        }
        scene.awaitGoingOn("db-0", before);
        scene.kubectl.run("rollout", "status", "deployment/torpor-operator", "-n", "torpor-system", "--timeout=180s");
    }

    @Test
    void aVmWhoseSetIsScaledToNoneSleepsUntilItIsScaledBack(Scene scene) {
        scene.apply(VmManifest.of("mq").memory(192, 16).grace(60).statefulSet());
        Tick before = scene.awaitTick("mq-0");
        scene.kubectl("annotate", "pod", "mq-0", "torpor.dev/on-termination=ManagedSave");
        scene.kubectl("scale", "statefulset", "mq", "--replicas=0");

        await("nothing to start in").atMost(PATIENCE).ignoreExceptions().until(() -> scene.field(
                        "vmsnap", ".items[0].status.conditions[?(@.type=='Resumable')].reason")
                .equals("NoPod"));
        assertThat(scene.field("vmsnap", ".items[0].status.conditions[?(@.type=='Ready')].status"))
                .isEqualTo("True");

        scene.kubectl("scale", "statefulset", "mq", "--replicas=1");
        scene.awaitGoingOn("mq-0", before);
    }

    @Test
    void aPodThatSomebodyDeletesEndsItsVmUnlessThePolicySaysOtherwise(Scene scene) {
        Tick before = scene.start(VmManifest.of("web").grace(60));
        scene.kubectl("delete", "pod", "web", "--timeout=60s");

        assertThat(scene.kubectl("get", "vmsnap")).contains("No resources found");
        assertThat(scene.start(VmManifest.of("web").grace(60)).nonce()).isNotEqualTo(before.nonce());
    }
}
