package dev.torpor.e2e.standin;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.e2e.cluster.StandInPod;
import dev.torpor.e2e.guest.Tick;
import io.fabric8.kubernetes.client.informers.ResourceEventHandler;
import io.fabric8.kubernetes.client.informers.SharedIndexInformer;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * The node's power is cut and comes back: agent, launchers and QEMUs are gone at once, the boot has another identity, and
 * what is left is the disk and what the API server has.
 */
@Tag("standin")
class RebootIT {
    private static final long TORN_BYTES = 100;

    @Test
    void savedVmsGoOnByPriorityAndOnlyTheOneThatRanBoots() throws Exception {
        try (StandInCluster cluster = StandInCluster.withWebhook()) {
            priority(cluster, "low", 10);
            priority(cluster, "middle", 20);
            priority(cluster, "high", 30);
            Map<String, Tick> saved = new LinkedHashMap<>();
            // Named and made against the order in which they are to go on.
            for (String vm : List.of("a-low", "b-torn", "c-middle", "d-high")) {
                StandInPod pod = cluster.startVm(vm, vm.endsWith("torn") ? "high" : vm.substring(2));
                saved.put(vm, pod.lastTick().orElseThrow());
            }
            StandInPod ran = cluster.startVm("ran", "low");
            StandInPod wiped = cluster.startVm("wiped", "low");
            Map<StandInPod, Tick> running = Map.of(
                    ran, ran.lastTick().orElseThrow(),
                    wiped, wiped.lastTick().orElseThrow());
            cluster.controlPlane.kubectl("cordon", StandInCluster.NODE);
            for (String vm : saved.keySet()) {
                cluster.snapshot(vm + "-saved", vm, "mode: ManagedSave");
            }
            for (String vm : saved.keySet()) {
                awaitResumable(cluster, vm + "-saved", "NodeUnschedulable");
            }

            cluster.powerOff();
            tear(cluster, "b-torn");
            wiped.loseVolume();
            cluster.powerOn();
            List<String> started = new CopyOnWriteArrayList<>();
            try (SharedIndexInformer<VMRestore> _ = watch(cluster, started)) {
                cluster.restartAgent("never");

                // Images are looked at before anything is started from them.
                cluster.awaitSnapshot("b-torn-saved", status -> "ImageTruncated"
                        .equals(Conditions.reason(status.getConditions(), ConditionType.READY)));
                for (Map.Entry<StandInPod, Tick> each : running.entrySet()) {
                    each.getKey().awaitTick(tick -> !tick.nonce()
                            .equals(each.getValue().nonce()));
                    assertThat(each.getKey().starts())
                            .as(each.getKey().toString())
                            .isEqualTo(2);
                }
                assertThat(started).isEmpty();
                for (String vm : saved.keySet()) {
                    assertThat(cluster.gates(vm)).as(vm).containsExactly(Torpor.SAVED_GATE);
                }

                cluster.controlPlane.kubectl("uncordon", StandInCluster.NODE);
                for (String vm : List.of("d-high", "c-middle", "a-low")) {
                    cluster.awaitRunning(vm + "-saved-start-1");
                    StandInPod pod = cluster.pod(vm);
                    Tick last = Objects.requireNonNull(saved.get(vm));
                    StandInCluster.awaitGoingOn(pod, last);
                    assertThat(pod.nonces()).as(vm).containsExactly(last.nonce());
                }
                // Two at a time, so that only the last one is told apart. The watch may be behind.
                await("the starts").atMost(StandInCluster.PATIENCE).untilAsserted(() -> assertThat(started)
                        .hasSize(3)
                        .endsWith("a-low-saved-start-1")
                        .containsExactlyInAnyOrder(
                                "d-high-saved-start-1", "c-middle-saved-start-1", "a-low-saved-start-1"));
            }
            assertThat(cluster.gates("b-torn")).containsExactly(Torpor.SAVED_GATE);
        }
    }

    /** Its QEMU's CPU is "max", which has less after that reboot, as with other microcode. */
    @Test
    void aPodWhoseImageIsCommittedNeverBootsThoughNobodyWasToldBeforeTheReboot() throws Exception {
        try (StandInCluster cluster = new StandInCluster()) {
            Path microcode = cluster.controlPlane.directory().resolve("microcode");
            Files.writeString(microcode, "max");
            cluster.createPod(
                    "web",
                    List.of(
                            "/run/torpor/bin/launch",
                            "--",
                            qemuOfThatCpu(microcode).toString()),
                    StandInCluster.arguments(160, 8));
            StandInPod old = cluster.pod("web");
            old.awaitTick(tick -> tick.number() >= 2);
            cluster.restartAgent("after SAVE_COMMIT");
            cluster.snapshot("saved", "web", "mode: ManagedSave");
            cluster.awaitAgentDeath();
            Tick last = old.lastTick().orElseThrow();

            cluster.powerOff();
            Files.writeString(microcode, "max,-rdrand");
            cluster.powerOn();
            await("the same pod is started again")
                    .atMost(StandInCluster.PATIENCE)
                    .until(() -> old.starts() == 2 && old.asks() == 2);
            cluster.restartAgent("never");

            awaitResumable(cluster, "saved", "StartFailed");
            assertThat(Conditions.find(cluster.snapshot("saved").getStatus().getConditions(), ConditionType.RESUMABLE)
                            .orElseThrow()
                            .getMessage())
                    .contains(
                            "saved-start-1 failed: CPUMismatch: ",
                            "the target's CPU lacks features that the guest was started with: CPUID 1.ECX bits 0x40000000",
                            "The image is safe.",
                            "To have it tried again, remove the cause and delete that VMRestore.");
            await("another pod, held").atMost(StandInCluster.PATIENCE).until(() -> cluster.gates("web")
                    .equals(List.of(Torpor.SAVED_GATE)));
            Files.writeString(microcode, "max");
            cluster.controlPlane.kubectl("delete", "vmrestore", "saved-start-1", "-n", cluster.namespace);

            cluster.awaitSnapshot("saved", status -> status.getPhase() == SnapshotPhase.Consumed);
            StandInPod next = cluster.pod("web");
            assertThat(next.uid()).isNotEqualTo(old.uid());
            StandInCluster.awaitGoingOn(next, last);
            assertThat(old.nonces()).containsExactly(last.nonce());
            assertThat(next.nonces()).containsExactly(last.nonce());
            assertThat(old.output()).containsOnlyOnce("torpor: starting ");
        }
    }

    @Test
    void aSaveThatTheRebootCutOffLeavesNothingAndItsVmBootsInItsPod() throws Exception {
        try (StandInCluster cluster = new StandInCluster()) {
            StandInPod pod = cluster.startVm("web", 160, 8);
            StandInPod db = cluster.startVm("db", 160, 8);
            cluster.restartAgent("after SAVE_WRITE");
            cluster.snapshot("kept", "web", "mode: Checkpoint");
            cluster.snapshot("moved", "db", "mode: ManagedSave");
            cluster.awaitAgentDeath();
            Tick last = pod.lastTick().orElseThrow();
            Tick lastOfDb = db.lastTick().orElseThrow();
            assertThat(cluster.imageFiles()).anyMatch(file -> file.toString().endsWith(".img"));

            cutPower(cluster);
            await().atMost(StandInCluster.PATIENCE).until(() -> pod.asks() == 2 && db.asks() == 2);
            cluster.restartAgent("never");

            Tick fresh = pod.awaitTick(tick -> !tick.nonce().equals(last.nonce()));
            // What is wanted still, is made of the guest that runs now.
            cluster.awaitReady("kept");
            StandInCluster.awaitGoingOn(pod, fresh);
            assertThat(pod.nonces()).containsExactly(last.nonce(), fresh.nonce());
            assertThat(pod.starts()).isEqualTo(2);
            cluster.awaitSnapshot("moved", status -> status.getPhase() == SnapshotPhase.Consumed);
            StandInPod next = cluster.pod("db");
            assertThat(next.uid()).isNotEqualTo(db.uid());
            // Saved as soon as its QEMU answered: its guest may not have come so far as to tick.
            assertThat(next.awaitTick(tick -> true).nonce()).isNotEqualTo(lastOfDb.nonce());
            assertThat(next.nonces()).hasSize(1);
        }
    }

    @Test
    void aNodeThatIsLostBeforeTheHandOverLosesNothingAndAfterItTheVmBootsOnce() throws Exception {
        try (StandInCluster cluster = new StandInCluster()) {
            StandInPod first = cluster.startVm("web", 160, 8);
            cluster.restartAgent("before RESTORE_HAND_OVER");
            cluster.snapshot("saved", "web", "mode: ManagedSave");
            cluster.awaitAgentDeath();
            Tick last = first.lastTick().orElseThrow();

            cutPower(cluster);
            cluster.restartAgent("never");
            cluster.awaitSnapshot("saved", status -> status.getPhase() == SnapshotPhase.Consumed);
            last = StandInCluster.awaitGoingOn(cluster.pod("web"), last);
            assertThat(cluster.pod("web").nonces()).containsExactly(last.nonce());

            cluster.restartAgent("after RESTORE_JOURNAL");
            cluster.snapshot("again", "web", "mode: ManagedSave");
            cluster.awaitAgentDeath();
            StandInPod handedOver = cluster.pod("web");
            cutPower(cluster);
            cluster.restartAgent("never");
            handedOver.awaitTick(tick -> true);
            cluster.awaitSnapshot("again", status -> status.getPhase() == SnapshotPhase.Consumed);
            assertThat(handedOver.nonces()).hasSize(1).doesNotContain(last.nonce());
            assertThat(handedOver.starts()).isEqualTo(2);
        }
    }

    private static void cutPower(StandInCluster cluster) throws IOException {
        cluster.powerOff();
        cluster.powerOn();
    }

    /** Makes a program that is the installed QEMU with the CPU that a file names. */
    private static Path qemuOfThatCpu(Path microcode) throws IOException {
        Path program = Files.createDirectory(microcode.resolveSibling("bin")).resolve("qemu-system-x86_64");
        Files.writeString(program, """
                #!/bin/sh
                exec qemu-system-x86_64 "$@" -cpu "$(cat %s)"
                """.formatted(microcode));
        if (!program.toFile().setExecutable(true)) {
            throw new IOException(program + " cannot be made executable");
        }
        return program;
    }

    private static void priority(StandInCluster cluster, String name, int value) {
        cluster.controlPlane.kubectl("create", "priorityclass", name, "--value=" + value);
    }

    private static void awaitResumable(StandInCluster cluster, String snapshot, String reason) {
        cluster.awaitSnapshot(
                snapshot, status -> reason.equals(Conditions.reason(status.getConditions(), ConditionType.RESUMABLE)));
    }

    private static SharedIndexInformer<VMRestore> watch(StandInCluster cluster, List<String> started) {
        return cluster.client
                .resources(VMRestore.class)
                .inNamespace(cluster.namespace)
                .inform(new ResourceEventHandler<>() {
                    @Override
                    public void onAdd(VMRestore restore) {
                        started.add(restore.getMetadata().getName());
                    }

                    @Override
                    public void onUpdate(VMRestore before, VMRestore now) {
                        // its name is known
                    }

                    @Override
                    public void onDelete(VMRestore restore, boolean unknown) {
                        started.add("deleted: " + restore.getMetadata().getName());
                    }
                });
    }

    private static void tear(StandInCluster cluster, String vm) throws IOException {
        List<Path> images = cluster.imageFiles().stream()
                .filter(file -> file.toString().contains("/" + vm + "/")
                        && file.toString().endsWith(".img"))
                .toList();
        assertThat(images).hasSize(1);
        try (RandomAccessFile file = new RandomAccessFile(images.getFirst().toFile(), "rw")) {
            file.setLength(file.length() - TORN_BYTES);
        }
    }
}
