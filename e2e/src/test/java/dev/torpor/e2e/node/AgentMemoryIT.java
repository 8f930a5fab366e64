package dev.torpor.e2e.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.cluster.ContainerCgroup;
import dev.torpor.e2e.install.InstalledTorpor;
import java.io.IOException;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * The bytes of a VM's memory pass by the agent: it saves a VM that is bigger than what it may use itself. The VM's memory in
 * MiB can be set by TORPOR_BIG_VM_MIB (448); nearly half of it is filled.
 */
@Tag("node")
@ExtendWith(InstalledTorporExtension.class)
class AgentMemoryIT {
    private static final int MIB = 1 << 20;
    private static final long WANTED_ANONYMOUS_BYTES = 128L * MIB;

    @Test
    @SuppressWarnings("SystemOut") // The figure is of use to people.
    void aVmBiggerThanTheAgentsLimitIsSavedWithinIt(Scene scene) throws IOException {
        String agent = scene.torpor.pods("agent").getFirst();
        String uid = scene.kubectl.run(
                "get", "pod", agent, "-n", InstalledTorpor.NAMESPACE, "-o", "jsonpath={.metadata.uid}");
        int memoryMiB = Integer.parseInt(System.getenv().getOrDefault("TORPOR_BIG_VM_MIB", "448"));
        scene.start(VmManifest.of("big").memory(memoryMiB, memoryMiB / 2 - 16));
        ContainerCgroup memory = scene.cluster.node().cgroupOf(uid);
        memory.resetPeak();
        long restBytes = memory.anonymousBytes();

        scene.snapshot("big-saved", "big");
        scene.awaitReady("vmsnap/big-saved");
        await("all pages are read back").atMost(Scene.PATIENCE).until(() -> scene.field(
                        "vmsnap/big-saved", ".status.conditions[?(@.type=='Verified')].status")
                .equals("True"));

        long peakBytes = memory.peakBytes();
        long anonymousBytes = memory.anonymousBytes();
        long imageBytes = Long.parseLong(scene.field("vmsnap/big-saved", ".status.image.allocatedBytes"));
        System.out.printf(
                "figure: agent's cgroup: limit %d MiB, anonymous at rest %d MiB, after the save %d MiB, most of all kinds %d MiB;"
                        + " image %d MiB%n",
                memory.limitBytes() / MIB, restBytes / MIB, anonymousBytes / MIB, peakBytes / MIB, imageBytes / MIB);
        assertThat(imageBytes).isGreaterThan(memory.limitBytes());
        assertThat(anonymousBytes).as(memory::processes).isLessThanOrEqualTo(WANTED_ANONYMOUS_BYTES);
        assertThat(peakBytes).isLessThanOrEqualTo(memory.limitBytes());
        assertThat(memory.limitHits())
                .as("times that the kernel had to make room")
                .isZero();
    }
}
