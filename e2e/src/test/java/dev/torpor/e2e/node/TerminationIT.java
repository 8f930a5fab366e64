package dev.torpor.e2e.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.v1alpha1.OnTermination;
import dev.torpor.e2e.guest.Tick;
import java.time.Duration;
import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;
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
        scene.apply(VmManifest.of("cache").grace(60).statefulSet());
        Tick before = scene.awaitTick("db-0");
        Tick cache = scene.awaitTick("cache-0");
        scene.kubectl("annotate", "pod", "cache-0", "torpor.dev/on-termination=Never");
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
        await("a boot of the VM that is never to be saved").atMost(PATIENCE).until(() -> scene.ticks("cache-0").stream()
                .anyMatch(tick -> !tick.nonce().equals(cache.nonce())));
        scene.torpor.awaitOperators();
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
    void aDeletedPodsVmEndsUnlessThePolicySaysOtherwise(Scene scene) {
        Map<OnTermination, Tick> before = new EnumMap<>(OnTermination.class);
        for (OnTermination policy : OnTermination.values()) {
            scene.apply(VmManifest.of(vm(policy)).memory(192, 16).grace(60).statefulSet());
        }
        for (OnTermination policy : OnTermination.values()) {
            before.put(policy, scene.awaitTick(pod(policy)));
            scene.kubectl("annotate", "pod", pod(policy), "torpor.dev/on-termination=" + policy);
        }
        scene.kubectl(
                "delete",
                "pods",
                pod(OnTermination.ManagedSave),
                pod(OnTermination.OnDisruption),
                pod(OnTermination.Never),
                "--timeout=180s");

        before.forEach((policy, tick) -> {
            if (policy == OnTermination.ManagedSave) {
                scene.awaitGoingOn(pod(policy), tick);
            } else {
                assertThat(scene.awaitTick(pod(policy)).nonce())
                        .as("%s: the next pod boots", policy)
                        .isNotEqualTo(tick.nonce());
            }
        });
        assertThat(scene.kubectl("get", "vmsnap", "-o", "jsonpath={.items[*].spec.vmName}"))
                .isEqualTo(vm(OnTermination.ManagedSave));
    }

    private static String vm(OnTermination policy) {
        return policy.name().toLowerCase(Locale.ROOT);
    }

    private static String pod(OnTermination policy) {
        return vm(policy) + "-0";
    }

    @Test
    void aVmWhoseRoomAPodOfHigherPriorityTakesSleepsUntilThereIsRoom(Scene scene) {
        scene.apply(VmManifest.of("db")
                .memory(192, 32)
                .grace(60)
                .containerSpec("resources: {requests: {memory: " + mostOfTheMemory(scene) + "}}")
                .statefulSet());
        Tick before = scene.awaitTick("db-0");
        String uid = scene.field("pod/db-0", ".metadata.uid");
        scene.apply("""
                apiVersion: scheduling.k8s.io/v1
                kind: PriorityClass
                metadata: {name: urgent-%1$s}
                value: 1000
                ---
                apiVersion: v1
                kind: Pod
                metadata: {name: urgent}
                spec:
                  priorityClassName: urgent-%1$s
                  terminationGracePeriodSeconds: 1
                  containers:
                  - name: work
                    image: torpor-vm:local
                    imagePullPolicy: Never
                    command: [sleep, infinity]
                    resources: {requests: {memory: %2$s}}
                """.formatted(scene.namespace, mostOfTheMemory(scene)));
        try {
            scene.kubectl("wait", "--for=condition=Ready", "pod/urgent", "--timeout=120s");
            await("the VM waits for room").atMost(PATIENCE).ignoreExceptions().untilAsserted(() -> assertThat(
                            scene.field("pod/db-0", ".status.conditions[?(@.type=='PodScheduled')].reason"))
                    .isEqualTo("Unschedulable"));
            assertThat(scene.field("pod/db-0", ".metadata.uid")).isNotEqualTo(uid);
            // Its turn has come, and its gate is off: all that is missing is room.
            await("it is resumed").atMost(PATIENCE).untilAsserted(() -> assertThat(
                            scene.field("vmsnap", ".items[*].status.phase"))
                    .isEqualTo("Resuming"));
        } finally {
            scene.kubectl("delete", "pod/urgent", "priorityclass/urgent-" + scene.namespace, "--timeout=180s");
        }
        scene.awaitGoingOn("db-0", before);
    }

    /** Returns a request that fits into the node once. */
    private static String mostOfTheMemory(Scene scene) {
        String allocatable = scene.field("node/" + scene.cluster.node().name(), ".status.allocatable.memory");
        assertThat(allocatable).endsWith("Ki");
        return Long.parseLong(allocatable.substring(0, allocatable.length() - 2)) * 6 / 10 + "Ki";
    }
}
