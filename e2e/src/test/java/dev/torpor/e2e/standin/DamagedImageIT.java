package dev.torpor.e2e.standin;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.ImageLayout;
import dev.torpor.agent.image.RamBlock;
import dev.torpor.agent.linux.Access;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpLimits;
import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.e2e.cluster.StandInPod;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.failure.FailureReason;
import io.fabric8.kubernetes.api.model.PodSchedulingGate;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** One bit of an image flips on the disk, after the image was Verified: who notices, when, and what becomes of the VM. */
@Tag("standin")
class DamagedImageIT {
    private static final String PAGE = "the image is damaged: the checksum of RAM block 'pc.ram' at offset [0-9]+ is"
            + " [0-9a-f]{8}, and [0-9a-f]{8} was recorded";

    @Test
    void aGuestThatRunsFromADamagedPageIsStoppedAndNotSaved() throws Exception {
        try (StandInCluster cluster = new StandInCluster()) {
            for (String strategy : List.of("Lazy", "Eager")) {
                String vm = strategy.toLowerCase(Locale.ROOT);
                cluster.startVmWithImages(vm, 256, 48);
                cluster.snapshot(vm + "-saved", vm);
                VMSnapshot saved = cluster.awaitVerified(vm + "-saved");
                flip(file(cluster, saved), pageOf(cluster, saved));
                cluster.restore(vm + "-back", vm + "-saved", strategy.equals("Eager") ? "strategy: Eager" : "");

                String message = "VMRestore " + cluster.namespace + "/" + vm + "-back: " + PAGE
                        + "\\. The guest ran from"
                        + " this memory and was stopped, .* Nothing boots it by itself: delete pod " + vm + " .*";
                VMRestore ended = Ends.restoreIsRefused(cluster, vm + "-back", FailureReason.ImageDamaged, message);
                assertThat(ended.getStatus().getStrategy()).isEqualTo(strategy);
                Ends.assertCondition(
                        ended.getStatus().getConditions(),
                        ConditionType.VERIFIED,
                        "False",
                        FailureReason.ImageDamaged,
                        message);
                assertThat(ended.getStatus().getVerifiedSeconds()).isNull();
                StandInPod pod = cluster.pod(vm);
                assertThat(runState(pod)).isEqualTo("paused");

                for (String next : List.of("-again", "-after-a-restart")) {
                    cluster.snapshot(vm + next, vm, "mode: Checkpoint");
                    Ends.saveFails(
                            cluster,
                            vm + next,
                            FailureReason.ImageDamaged,
                            "VMSnapshot " + cluster.namespace + "/" + vm + next
                                    + ": the VM was resumed from a damaged image and stopped, and is not saved: .*"
                                    + PAGE + ".* The VM is paused, as it was before\\.");
                    assertThat(runState(pod)).isEqualTo("paused");
                    cluster.restartAgent("never");
                }
                assertThat(pod.starts()).as("it was left alone").isEqualTo(1);
                cluster.deletePod(vm);
            }
        }
    }

    @Test
    void aDamagedImageThatWaitsBlocksItsVmUntilAPersonGivesItUp() throws Exception {
        try (StandInCluster cluster = StandInCluster.withWebhook()) {
            StandInPod old = cluster.startVm("web", 30);
            cluster.controlPlane.kubectl("cordon", StandInCluster.NODE);
            cluster.snapshot("saved", "web", "mode: ManagedSave");
            VMSnapshot saved = cluster.awaitVerified("saved");
            Tick last = old.lastTick().orElseThrow();
            Path file = file(cluster, saved);
            ImageLayout layout = CommittedImage.open(file).layout();
            RamBlock ram = ram(layout);
            Map<String, Long> places = new LinkedHashMap<>();
            places.put("header", 100L);
            places.put("bitmap", ram.bitmap().offsetBytes() + 3);
            places.put("device state", layout.deviceStateOffsetBytes() + 1000);
            places.put("page", pageOf(cluster, saved));
            for (Map.Entry<String, Long> place : places.entrySet()) {
                flip(file, place.getValue());
                verify(cluster, "flipped " + place.getKey());
                await(place.getKey()).atMost(StandInCluster.PATIENCE).until(() -> isDamaged(cluster));
                if (!place.getKey().equals("page")) {
                    flip(file, place.getValue());
                    cluster.awaitSnapshot(
                            "saved", status -> Conditions.isTrue(status.getConditions(), ConditionType.READY));
                }
            }
            // A restart forgets nothing, and a node that takes pods again starts nothing.
            cluster.restartAgent("never");
            cluster.controlPlane.kubectl("uncordon", StandInCluster.NODE);
            cluster.restore("by-hand", "saved");
            Ends.restoreIsRefused(cluster, "by-hand", FailureReason.SnapshotUnusable, ".*");
            assertThat(isDamaged(cluster)).isTrue();
            assertThat(cluster.snapshot("saved").getStatus().getConditions())
                    .anySatisfy(
                            condition -> assertThat(condition.getMessage()).matches(PAGE + "\\. The image cannot .*"));
            assertThat(gates(cluster)).containsExactly(Torpor.SAVED_GATE);

            cluster.controlPlane.kubectl(
                    "annotate", "vmsnapshot", "saved", "-n", cluster.namespace, Torpor.DISCARD_ANNOTATION + "=true");
            cluster.controlPlane.kubectl("delete", "vmsnapshot", "saved", "-n", cluster.namespace, "--timeout=120s");
            StandInPod fresh = cluster.pod("web");
            assertThat(fresh.awaitTick(tick -> tick.number() >= 1).nonce()).isNotEqualTo(last.nonce());
        }
    }

    @Test
    void anImageIsComparedFromTimeToTimeAndOnRequest() throws Exception {
        try (StandInCluster cluster = new StandInCluster()) {
            cluster.restartAgent(
                    new StandInCluster.AgentOptions("never", 60, 0, Map.of("TORPOR_TEST_SCRUB_SECONDS", "2")));
            StandInPod pod = cluster.startVm("web", 192, 16);
            cluster.snapshot("saved", "web", "mode: Checkpoint");
            VMSnapshot saved = cluster.awaitVerified("saved");
            String first = requireNonNull(saved.getStatus().getVerifiedTime());
            cluster.awaitSnapshot("saved", status -> !first.equals(status.getVerifiedTime()));

            long page = pageOf(cluster, saved);
            flip(file(cluster, saved), page);
            await().atMost(StandInCluster.PATIENCE).until(() -> isDamaged(cluster));
            VMSnapshotStatus damaged = cluster.snapshot("saved").getStatus();
            assertThat(Conditions.reason(damaged.getConditions(), ConditionType.VERIFIED))
                    .isEqualTo("ImageDamaged");
            // The Event follows the status.
            await().atMost(StandInCluster.PATIENCE).untilAsserted(() -> assertThat(cluster.client
                            .v1()
                            .events()
                            .inNamespace(cluster.namespace)
                            .list()
                            .getItems())
                    .anySatisfy(event -> {
                        assertThat(event.getInvolvedObject().getName()).isEqualTo("saved");
                        assertThat(event.getReason()).isEqualTo("ImageUnusable");
                        assertThat(event.getMessage()).contains("RAM block 'pc.ram'");
                    }));
            StandInCluster.awaitGoingOn(pod, pod.lastTick().orElseThrow());

            flip(file(cluster, saved), page);
            verify(cluster, "put back");
            cluster.awaitVerified("saved");
            cluster.awaitSnapshot("saved", status -> "put back".equals(status.getHandledVerifyRequest()));
        }
    }

    private static void verify(StandInCluster cluster, String request) {
        cluster.controlPlane.kubectl(
                "annotate",
                "--overwrite",
                "vmsnapshot",
                "saved",
                "-n",
                cluster.namespace,
                Torpor.VERIFY_ANNOTATION + "=" + request);
    }

    private static boolean isDamaged(StandInCluster cluster) {
        return "ImageDamaged"
                .equals(Conditions.reason(cluster.snapshot("saved").getStatus().getConditions(), ConditionType.READY));
    }

    private static Path file(StandInCluster cluster, VMSnapshot saved) {
        return cluster.store()
                .resolve(requireNonNull(saved.getStatus().getImage()).path());
    }

    private static RamBlock ram(ImageLayout layout) {
        return layout.blocks().stream()
                .filter(block -> block.name().equals("pc.ram"))
                .findFirst()
                .orElseThrow();
    }

    /** Returns where a byte of the guest's memory is that is not zero, in the second half of it. */
    private static long pageOf(StandInCluster cluster, VMSnapshot saved) throws Exception {
        Path file = file(cluster, saved);
        RamBlock ram = ram(CommittedImage.open(file).layout());
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            ByteBuffer page = ByteBuffer.allocate(4096);
            long from = ram.pages().offsetBytes() + ram.pages().lengthBytes() / 8192 * 4096;
            for (long at = from; at < ram.pages().endBytes(); at += 4096) {
                channel.read(page.clear(), at);
                for (int i = 0; i < page.position(); i++) {
                    if (page.get(i) != 0) {
                        return at + i;
                    }
                }
            }
        }
        throw new IllegalStateException("the guest's memory is empty");
    }

    private static void flip(Path file, long at) throws IOException {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            ByteBuffer one = ByteBuffer.allocate(1);
            channel.read(one, at);
            channel.write(ByteBuffer.wrap(new byte[] {(byte) (one.get(0) ^ 1)}), at);
            channel.force(false);
        }
    }

    private static String runState(StandInPod pod) throws Exception {
        try (Directory volume = Directory.open(pod.volume());
                Descriptor socket = volume.openFile("qmp.sock", Access.NAME_ONLY);
                QmpClient qmp = QmpClient.connect(socket, QmpLimits.DEFAULT)) {
            return qmp.execute("query-status").path("status").asText();
        }
    }

    private static List<String> gates(StandInCluster cluster) {
        return Objects.requireNonNullElse(
                        cluster.client
                                .pods()
                                .inNamespace(cluster.namespace)
                                .withName("web")
                                .require()
                                .getSpec()
                                .getSchedulingGates(),
                        List.<PodSchedulingGate>of())
                .stream()
                .map(PodSchedulingGate::getName)
                .toList();
    }
}
