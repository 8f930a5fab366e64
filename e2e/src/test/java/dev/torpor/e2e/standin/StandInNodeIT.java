package dev.torpor.e2e.standin;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.e2e.cluster.ControlPlane;
import dev.torpor.e2e.cluster.StandInNode;
import dev.torpor.e2e.cluster.StandInPod;
import dev.torpor.e2e.guest.GuestImage;
import dev.torpor.e2e.guest.Tick;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** The stand-in does for a VM pod what Torpor needs of a kubelet, and leaves nothing behind. */
@Tag("standin")
class StandInNodeIT {
    @Test
    void runsRestartsAndRemovesTheVmOfAPod() throws Exception {
        Path kubeletRoot;
        ProcessHandle qemu;
        try (ControlPlane controlPlane = ControlPlane.start(ControlPlane.Options.WHOLE);
                StandInNode node = StandInNode.start(controlPlane, "stand-in-1")) {
            kubeletRoot = node.kubeletRoot();
            String namespace = controlPlane.createNamespace("vms");
            controlPlane.client().resource(vm(namespace)).create();

            await().atMost(StandInCluster.PATIENCE).until(() -> node.runs(namespace, "vm1"));
            StandInPod pod = node.pod(namespace, "vm1");
            Tick first = pod.awaitTick(tick -> tick.number() >= 2);
            await().atMost(StandInCluster.PATIENCE).until(() -> ready(controlPlane, namespace));
            qemu = pod.process().orElseThrow().toHandle();
            assertThat(Files.readString(Path.of("/proc", Long.toString(qemu.pid()), "cgroup")))
                    .contains("pod" + pod.uid() + "/");
            assertThat(pod.volume().resolve("bin/launch")).isExecutable();
            assertThat(pod.volume().resolve("seen-from-inside")).exists();

            pod.killContainer();
            pod.awaitTick(tick -> !tick.nonce().equals(first.nonce()));
            assertThat(pod.starts()).isEqualTo(2);

            controlPlane.kubectl("delete", "pod", "vm1", "-n", namespace, "--timeout=120s");
            await().atMost(StandInCluster.PATIENCE).until(() -> !node.runs(namespace, "vm1"));
            qemu = pod.process().orElseThrow().toHandle();
        }
        assertThat(qemu.isAlive()).isFalse();
        assertThat(kubeletRoot.resolve("pods"))
                .satisfiesAnyOf(path -> assertThat(path).doesNotExist(), path -> assertThat(path)
                        .isEmptyDirectory());
        assertThat(Files.readString(Path.of("/proc/mounts"))).doesNotContain("/run/torpor");
    }

    private static boolean ready(ControlPlane controlPlane, String namespace) {
        Pod pod = controlPlane
                .client()
                .pods()
                .inNamespace(namespace)
                .withName("vm1")
                .get();
        return pod.getStatus().getConditions().stream()
                .anyMatch(c -> c.getType().equals("Ready") && c.getStatus().equals("True"));
    }

    private static Pod vm(String namespace) {
        List<String> arguments = new ArrayList<>(GuestImage.get().arguments(128, 0));
        arguments.addAll(List.of("-serial", "stdio", "-monitor", "none"));
        return new PodBuilder()
                .withNewMetadata()
                .withName("vm1")
                .withNamespace(namespace)
                .addToLabels(Torpor.VM_LABEL, "vm1")
                .endMetadata()
                .withNewSpec()
                .withTerminationGracePeriodSeconds(5L)
                .addNewContainer()
                .withName("qemu")
                .withImage("torpor-vm:local")
                .withCommand(
                        "/bin/sh", "-c", "touch /run/torpor/seen-from-inside; exec \"$@\"", "sh", "qemu-system-x86_64")
                .withArgs(arguments)
                .endContainer()
                .endSpec()
                .build();
    }
}
