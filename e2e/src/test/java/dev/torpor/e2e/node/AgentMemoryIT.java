package dev.torpor.e2e.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.cluster.ContainerCgroup;
import dev.torpor.e2e.install.InstalledTorpor;
import java.io.IOException;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
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
    private static final long WANTED_OF_AGENT_BYTES = 128L * MIB;
    private static final long WANTED_OF_OPERATOR_BYTES = 256L * MIB;
    private static final long SAMPLE_MILLIS = 50;

    @Test
    @SuppressWarnings("SystemOut") // The figure is of use to people.
    void aVmBiggerThanTheAgentsLimitIsSavedWithinIt(Scene scene) throws IOException {
        String agent = scene.torpor.pods("agent").getFirst();
        int memoryMiB = Integer.parseInt(System.getenv().getOrDefault("TORPOR_BIG_VM_MIB", "448"));
        scene.start(VmManifest.of("big").memory(memoryMiB, memoryMiB / 2 - 16));
        ContainerCgroup memory = cgroupOf(scene, agent);
        memory.resetPeak();
        long restBytes = memory.anonymousBytes();
        assertThat(restBytes).as(memory::processes).isLessThanOrEqualTo(WANTED_OF_AGENT_BYTES);

        AtomicLong mostBytes = new AtomicLong();
        AtomicInteger samples = new AtomicInteger();
        try (ScheduledExecutorService sampler = Executors.newSingleThreadScheduledExecutor()) {
            var _ = sampler.scheduleWithFixedDelay(
                    () -> {
                        mostBytes.accumulateAndGet(memory.anonymousBytes(), Math::max);
                        samples.incrementAndGet();
                    },
                    0,
                    SAMPLE_MILLIS,
                    TimeUnit.MILLISECONDS);
            scene.snapshot("big-saved", "big");
            scene.awaitReady("vmsnap/big-saved");
            scene.awaitVerified("vmsnap/big-saved");
            // A sampler that failed in between has stopped.
            int before = samples.get();
            await("a further sample").atMost(Scene.PATIENCE).until(() -> samples.get() > before);
            sampler.shutdownNow();
        }

        long peakBytes = memory.peakBytes();
        long anonymousBytes = memory.anonymousBytes();
        long imageBytes = Long.parseLong(scene.field("vmsnap/big-saved", ".status.image.allocatedBytes"));
        System.out.printf(
                "figure: agent's cgroup: limit %d MiB, anonymous at rest %d MiB, at most %d MiB during the save (%d samples),"
                        + " after it %d MiB, most of all kinds %d MiB; image %d MiB%n",
                memory.limitBytes() / MIB,
                restBytes / MIB,
                mostBytes.get() / MIB,
                samples.get(),
                anonymousBytes / MIB,
                peakBytes / MIB,
                imageBytes / MIB);
        assertThat(imageBytes).isGreaterThan(memory.limitBytes());
        assertThat(mostBytes.get()).as(memory::processes).isLessThanOrEqualTo(WANTED_OF_AGENT_BYTES);
        assertThat(anonymousBytes).as(memory::processes).isLessThanOrEqualTo(WANTED_OF_AGENT_BYTES);
        assertThat(peakBytes).isLessThanOrEqualTo(memory.limitBytes());
        assertThat(memory.limitHits())
                .as("times that the kernel had to make room")
                .isZero();
        operatorsAreSmallToo(scene);
    }

    @SuppressWarnings("SystemOut")
    private static void operatorsAreSmallToo(Scene scene) throws IOException {
        for (String operator : scene.torpor.pods("operator")) {
            ContainerCgroup memory = cgroupOf(scene, operator);
            long bytes = memory.anonymousBytes();
            System.out.printf(
                    "figure: operator's cgroup (%s): limit %d MiB, anonymous %d MiB%n",
                    operator.equals(scene.torpor.leader()) ? "leads" : "stands by",
                    memory.limitBytes() / MIB,
                    bytes / MIB);
            assertThat(bytes).as(memory::processes).isLessThanOrEqualTo(WANTED_OF_OPERATOR_BYTES);
        }
    }

    private static ContainerCgroup cgroupOf(Scene scene, String pod) throws IOException {
        String uid =
                scene.kubectl.run("get", "pod", pod, "-n", InstalledTorpor.NAMESPACE, "-o", "jsonpath={.metadata.uid}");
        return scene.cluster.node().cgroupOf(uid);
    }
}
