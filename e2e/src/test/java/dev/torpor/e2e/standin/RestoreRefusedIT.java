package dev.torpor.e2e.standin;

import static dev.torpor.e2e.standin.Ends.exactly;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.agent.linux.Access;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpLimits;
import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.e2e.cluster.StandInPod;
import dev.torpor.e2e.guest.GuestImage;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.failure.FailureReason;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.apps.ControllerRevision;
import io.fabric8.kubernetes.api.model.apps.ControllerRevisionBuilder;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;

/**
 * Restores that cannot be done: what the user reads, that no pod is left, and that the same image is restored once what was
 * wrong is put right. All tries are of one image, on a file system without O_DIRECT.
 */
@Tag("standin")
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class RestoreRefusedIT {
    private static final int MEMORY_MIB = 128;
    private static final int LAST = Integer.MAX_VALUE;

    @SuppressWarnings("NullAway.Init")
    private static Mount mount;

    @SuppressWarnings("NullAway.Init")
    private static StandInCluster cluster;

    @SuppressWarnings("NullAway.Init")
    private static VMSnapshot saved;

    @SuppressWarnings("NullAway.Init")
    private static Tick lastTick;

    @SuppressWarnings("NullAway.Init")
    private static Path image;

    @BeforeAll
    static void start() throws Exception {
        mount = Mount.ramfs();
        cluster = new StandInCluster(Optional.of(mount.directory()));
        createVm("other");
        createVm("web");
        StandInPod pod = cluster.pod("web");
        pod.awaitTick(tick -> tick.number() >= 2);
        cluster.snapshot("web-saved", "web");
        saved = cluster.awaitReady("web-saved");
        lastTick = pod.lastTick().orElseThrow();
        image = cluster.store()
                .resolve(Objects.requireNonNull(saved.getStatus().getImage()).path());
    }

    @AfterAll
    static void stop() throws Exception {
        try (var _ = mount;
                var _ = cluster) {
            // both end here, also when the start failed
        }
    }

    @Test
    void fileMissing() throws Exception {
        Path aside = copy();
        try {
            Files.delete(image);
            cluster.restore("of-missing", "web-saved");

            restoreFailsByImage("of-missing", FailureReason.ImageMissing, exactly("the image's file is missing. "));
        } finally {
            putBack(aside);
        }
    }

    @Test
    void fileTruncated() throws Exception {
        Path aside = copy();
        try {
            long size = Files.size(image);
            try (FileChannel file = FileChannel.open(image, StandardOpenOption.WRITE)) {
                file.truncate(size - 1);
            }
            cluster.restore("of-truncated", "web-saved");

            restoreFailsByImage(
                    "of-truncated",
                    FailureReason.ImageTruncated,
                    exactly("the image has " + (size - 1) + " bytes; " + size + " were committed. "));
        } finally {
            putBack(aside);
        }
    }

    @Test
    void headerDamaged() throws Exception {
        Path aside = copy();
        try {
            try (FileChannel file = FileChannel.open(image, StandardOpenOption.WRITE)) {
                file.write(ByteBuffer.wrap(new byte[] {'?'}), 100);
            }
            cluster.restore("of-damaged", "web-saved");

            restoreFailsByImage(
                    "of-damaged",
                    FailureReason.ImageDamaged,
                    "the image's header is damaged: its checksum is [0-9a-f]{8}, and it says that it is [0-9a-f]{8}\\. ");
        } finally {
            putBack(aside);
        }
    }

    @Test
    void moreMemory() throws Exception {
        withOtherDefinition("128M", "256M");
        cluster.restore("more-memory", "web-saved");

        restoreFails(
                "more-memory",
                FailureReason.MemorySizeMismatch,
                "RAM block pc.ram has 134217728 bytes in the image and 268435456 in the target: give the same memory size"
                        + " and backends. The image is safe.");
    }

    @Test
    void lessMemory() throws Exception {
        withOtherDefinition("128M", "96M");
        cluster.restore("less-memory", "web-saved");

        restoreFails(
                "less-memory",
                FailureReason.MemorySizeMismatch,
                "RAM block pc.ram has 134217728 bytes in the image and 100663296 in the target: give the same memory size"
                        + " and backends. The image is safe.");
    }

    @Test
    void otherMachineType() throws Exception {
        withOtherDefinition("q35", "pc-q35-9.2");
        cluster.restore("other-machine", "web-saved");

        restoreFails(
                "other-machine",
                FailureReason.MachineTypeMismatch,
                "the machine type is pc-q35-10.0 in the image and pc-q35-9.2 in the target: name the versioned type in"
                        + " -machine. The image is safe.");
    }

    @Test
    void otherDevices() throws Exception {
        withOtherDefinition("-nodefaults", "-device", "virtio-rng-pci", "-nodefaults");
        cluster.restore("other-devices", "web-saved");

        restoreFails(
                "other-devices",
                FailureReason.DevicesMismatch,
                "the target's devices are not the image's: missing [], added [virtio-rng-pci@01.0]: give the same devices"
                        + " at the same addresses. The image is safe.");
    }

    @Test
    void vmStillRunning() throws Exception {
        StandInPod pod = cluster.pod("other");
        Tick before = pod.awaitTick(tick -> tick.number() >= 2);
        cluster.snapshot("other-kept", "other", "mode: Checkpoint");
        VMSnapshot kept = cluster.awaitReady("other-kept");
        cluster.restore("other-back", "other-kept", "disks: Ephemeral");

        Ends.restoreIsRefused(
                cluster,
                "other-back",
                FailureReason.VMRunning,
                exactly(
                        "VM other is still there, in pod other. Delete that pod, then make a new VMRestore of other-kept."
                                + " The image is safe."));
        assertThat(Ends.files(cluster, kept)).isNotEmpty();
        StandInCluster.awaitGoingOn(pod, before);
    }

    @Test
    void sameManifestAgainIsNothing() throws Exception {
        String version = saved("web-saved").getMetadata().getResourceVersion();
        long saves = saves();
        cluster.snapshot("web-saved", "web");

        await().during(Duration.ofSeconds(3))
                .atMost(Duration.ofSeconds(20))
                .until(() ->
                        saved("web-saved").getMetadata().getResourceVersion().equals(version));
        assertThat(saves()).isEqualTo(saves);
    }

    @Test
    void withoutDirectIOThePageCacheIsUsed() {
        assertThat(saved.getStatus().getDirectIO()).isFalse();
    }

    @Test
    void directIORequiredWhereThereIsNone() throws Exception {
        StandInPod pod = cluster.pod("other");
        Tick before = pod.awaitTick(tick -> tick.number() >= 2);
        cluster.snapshot("other-direct", "other", "mode: Checkpoint", "parallel: {directIO: true}");

        Ends.saveFails(
                cluster,
                "other-direct",
                FailureReason.DirectIOUnsupported,
                exactly("VMSnapshot " + cluster.namespace
                        + "/other-direct: direct I/O was required and the store's file"
                        + " system does not have it: leave directIO out to save through the page cache. The VM runs."));
        StandInCluster.awaitGoingOn(pod, before);
    }

    @Test
    @Order(LAST - 1)
    void theImageIsRestoredOnceAllIsRight() throws Exception {
        withOtherDefinition("-nodefaults", "-nodefaults");
        cluster.restore("web-back", "web-saved");

        cluster.awaitRunning("web-back");
        StandInCluster.awaitGoingOn(cluster.pod("web"), lastTick);
        cluster.awaitSnapshot("web-saved", status -> status.getPhase() == SnapshotPhase.Consumed);
    }

    @Test
    @Order(LAST)
    void guestPausedByItsOwnerComesBackPaused() throws Exception {
        StandInPod before = cluster.pod("other");
        before.awaitTick(tick -> tick.number() >= 2);
        qmp(before, "stop");
        cluster.snapshot("other-saved", "other");
        VMSnapshot paused = cluster.awaitReady("other-saved");
        Tick last = before.lastTick().orElseThrow();
        assertThat(Objects.requireNonNull(paused.getStatus().getVm()).wasRunning())
                .isFalse();

        cluster.restore("other-paused", "other-saved");
        VMRestore back = cluster.awaitRunning("other-paused");
        assertThat(Conditions.find(back.getStatus().getConditions(), ConditionType.RESUMED))
                .hasValueSatisfying(resumed -> {
                    assertThat(resumed.getReason()).isEqualTo("Paused");
                    assertThat(resumed.getMessage())
                            .isEqualTo("the guest is paused, as it was asked for or as its owner had it");
                });
        assertThat(Conditions.find(back.getStatus().getConditions(), ConditionType.READY))
                .hasValueSatisfying(ready -> {
                    assertThat(ready.getReason()).isEqualTo("Paused");
                    assertThat(ready.getMessage())
                            .isEqualTo(
                                    "VM other is back on node stand-in-1. The VM is paused, as it was asked for or as"
                                            + " its owner had it.");
                });
        StandInPod after = cluster.pod("other");
        assertThat(after.lastTick()).isEmpty();
        qmp(after, "cont");
        StandInCluster.awaitGoingOn(after, last);
    }

    /** The snapshot stops to be Ready as well, until its file is what it was. */
    private static void restoreFailsByImage(String name, FailureReason reason, String message) {
        Ends.restoreFails(
                cluster,
                name,
                reason,
                exactly("VMRestore " + cluster.namespace + "/" + name + ": ")
                        + message
                        + exactly("The image cannot be restored."));
        VMSnapshot unusable = cluster.awaitSnapshot(
                "web-saved", status -> !Conditions.isTrue(status.getConditions(), ConditionType.READY));
        String why = message + exactly("The image cannot be restored while this is so.");
        Ends.assertCondition(unusable.getStatus().getConditions(), ConditionType.IMAGE_AVAILABLE, "False", reason, why);
        await("Ready tells why")
                .atMost(StandInCluster.PATIENCE)
                .untilAsserted(() -> Ends.assertCondition(
                        saved("web-saved").getStatus().getConditions(), ConditionType.READY, "False", reason, why));
    }

    private static void restoreFails(String name, FailureReason reason, String message) {
        Ends.restoreFails(
                cluster, name, reason, exactly("VMRestore " + cluster.namespace + "/" + name + ": " + message));
        VMSnapshot again = cluster.awaitReady("web-saved");
        assertThat(again.getStatus().getPhase()).isEqualTo(SnapshotPhase.Ready);
        assertThat(Ends.files(cluster, again)).isNotEmpty();
    }

    private static VMSnapshot saved(String name) {
        return Objects.requireNonNull(cluster.snapshot(name));
    }

    private static long saves() throws IOException {
        return cluster.steps().stream().filter("after SAVE_RECORD"::equals).count();
    }

    private static void createVm(String name) {
        cluster.createPod(name, List.of("/run/torpor/bin/launch", "--", "qemu-system-x86_64"), definition());
    }

    private static List<String> definition() {
        List<String> arguments = new ArrayList<>(GuestImage.get().arguments(MEMORY_MIB, 0));
        arguments.addAll(List.of("-serial", "stdio", "-monitor", "none"));
        return arguments;
    }

    /** Changes what was recorded of the VM's pod, as an administrator can: an argument is replaced by others. */
    private static void withOtherDefinition(String argument, String... by) {
        List<String> arguments = definition();
        int at = arguments.indexOf(argument);
        arguments.remove(at);
        arguments.addAll(at, List.of(by));
        var revisions = cluster.client.apps().controllerRevisions().inNamespace(cluster.namespace);
        String name = Objects.requireNonNull(saved.getStatus().getManifestRevision());
        ControllerRevision revision = revisions.withName(name).get();
        @SuppressWarnings("unchecked")
        Map<String, Object> data =
                cluster.client.getKubernetesSerialization().convertValue(revision.getData(), Map.class);
        Pod pod = cluster.client
                .getKubernetesSerialization()
                .convertValue(Objects.requireNonNull(data.get("pod")), Pod.class);
        pod.getSpec().getContainers().getFirst().setArgs(arguments);
        data.put("pod", pod);
        revisions.withName(name).delete(); // its data cannot be changed
        cluster.client
                .resource(new ControllerRevisionBuilder(revision)
                        .editMetadata()
                        .withResourceVersion(null)
                        .withUid(null)
                        .endMetadata()
                        .withData(data)
                        .build())
                .create();
    }

    private static void qmp(StandInPod pod, String command) throws Exception {
        // Its path is too long for the name of a socket.
        try (Directory volume = Directory.open(pod.volume());
                Descriptor socket = volume.openFile("qmp.sock", Access.NAME_ONLY);
                QmpClient qmp = QmpClient.connect(socket, QmpLimits.DEFAULT)) {
            qmp.execute(command);
        }
    }

    private static void putBack(Path copy) throws IOException {
        Files.move(copy, image, StandardCopyOption.REPLACE_EXISTING);
        cluster.awaitReady("web-saved");
    }

    private static Path copy() throws IOException {
        return Files.copy(image, image.resolveSibling("aside"), StandardCopyOption.REPLACE_EXISTING);
    }
}
