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
import java.util.HashMap;
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
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Restores that cannot be done: what the user reads, that no pod is left, and that the same image is restored once what was
 * wrong is put right. All tries are of two images, one of each engine, on a file system without O_DIRECT.
 */
@Tag("standin")
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class RestoreRefusedIT {
    private static final int MEMORY_MIB = 128;
    private static final int LAST = Integer.MAX_VALUE;
    /** The VM that is saved by QEMU itself. */
    private static final String DIRECT = "web";
    /** The VM whose channels are recorded. */
    private static final String STREAMS = "flow";

    @SuppressWarnings("NullAway.Init")
    private static Mount mount;

    @SuppressWarnings("NullAway.Init")
    private static StandInCluster cluster;

    /** By the names of their VMs. */
    private static final Map<String, Saved> SAVED = new HashMap<>();

    /** An image, and where its guest was then. */
    private record Saved(VMSnapshot snapshot, Tick lastTick) {
        Path file() {
            return cluster.store()
                    .resolve(Objects.requireNonNull(snapshot.getStatus().getImage())
                            .path());
        }

        /** Moves the file aside while something else is in its place. */
        Path copy() throws IOException {
            return Files.copy(file(), file().resolveSibling("aside"), StandardCopyOption.REPLACE_EXISTING);
        }

        void putBack(Path copy) throws IOException {
            Files.move(copy, file(), StandardCopyOption.REPLACE_EXISTING);
            cluster.awaitReady(snapshot.getMetadata().getName());
        }
    }

    @BeforeAll
    static void start() throws Exception {
        mount = Mount.ramfs();
        cluster = new StandInCluster(Optional.of(mount.directory()));
        cluster.controlPlane.kubectl().runWithInput("""
                apiVersion: torpor.dev/v1alpha1
                kind: VMSnapshotClass
                metadata: {name: streams}
                spec: {engine: MultifdStream}
                """, "apply", "-f", "-");
        createVm("other");
        createVm(DIRECT);
        createVm(STREAMS);
        SAVED.put(DIRECT, save(DIRECT));
        SAVED.put(STREAMS, save(STREAMS, "className: streams"));
    }

    private static Saved save(String vm, String... spec) throws IOException {
        StandInPod pod = cluster.pod(vm);
        pod.awaitTick(tick -> tick.number() >= 2);
        cluster.snapshot(vm + "-saved", vm, spec);
        VMSnapshot ready = cluster.awaitReady(vm + "-saved");
        return new Saved(ready, pod.lastTick().orElseThrow());
    }

    private static Saved of(String vm) {
        return Objects.requireNonNull(SAVED.get(vm));
    }

    @AfterAll
    static void stop() throws Exception {
        try (var _ = mount;
                var _ = cluster) {
            // both end here, also when the start failed
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {DIRECT, STREAMS})
    void fileMissing(String vm) throws Exception {
        Path aside = of(vm).copy();
        try {
            Files.delete(of(vm).file());
            cluster.restore("of-missing-" + vm, vm + "-saved");

            restoreFailsByImage(
                    "of-missing-", vm, FailureReason.ImageMissing, exactly("the image's file is missing. "));
        } finally {
            of(vm).putBack(aside);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {DIRECT, STREAMS})
    void fileTruncated(String vm) throws Exception {
        Path aside = of(vm).copy();
        try {
            long size = Files.size(of(vm).file());
            try (FileChannel file = FileChannel.open(of(vm).file(), StandardOpenOption.WRITE)) {
                file.truncate(size - 1);
            }
            cluster.restore("of-truncated-" + vm, vm + "-saved");

            restoreFailsByImage(
                    "of-truncated-",
                    vm,
                    FailureReason.ImageTruncated,
                    exactly("the image has " + (size - 1) + " bytes; " + size + " were committed. "));
        } finally {
            of(vm).putBack(aside);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {DIRECT, STREAMS})
    void headerDamaged(String vm) throws Exception {
        Path aside = of(vm).copy();
        try {
            try (FileChannel file = FileChannel.open(of(vm).file(), StandardOpenOption.WRITE)) {
                file.write(ByteBuffer.wrap(new byte[] {'?'}), 100);
            }
            cluster.restore("of-damaged-" + vm, vm + "-saved");

            restoreFailsByImage(
                    "of-damaged-",
                    vm,
                    FailureReason.ImageDamaged,
                    "the image's header is damaged: its checksum is [0-9a-f]{8}, and it says that it is [0-9a-f]{8}\\. ");
        } finally {
            of(vm).putBack(aside);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {DIRECT, STREAMS})
    void moreMemory(String vm) throws Exception {
        withOtherDefinition(vm, "128M", "256M");
        cluster.restore("more-memory-" + vm, vm + "-saved");

        restoreFails(
                "more-memory-",
                vm,
                FailureReason.MemorySizeMismatch,
                "RAM block pc.ram has 134217728 bytes in the image and 268435456 in the target: give the same memory size"
                        + " and backends. The image is safe.");
    }

    @Test
    void lessMemory() throws Exception {
        withOtherDefinition(DIRECT, "128M", "96M");
        cluster.restore("less-memory-web", "web-saved");

        restoreFails(
                "less-memory-",
                DIRECT,
                FailureReason.MemorySizeMismatch,
                "RAM block pc.ram has 134217728 bytes in the image and 100663296 in the target: give the same memory size"
                        + " and backends. The image is safe.");
    }

    @ParameterizedTest
    @ValueSource(strings = {DIRECT, STREAMS})
    void otherMachineType(String vm) throws Exception {
        withOtherDefinition(vm, "q35", "pc-q35-9.2");
        cluster.restore("other-machine-" + vm, vm + "-saved");

        restoreFails(
                "other-machine-",
                vm,
                FailureReason.MachineTypeMismatch,
                "the machine type is pc-q35-10.0 in the image and pc-q35-9.2 in the target: name the versioned type in"
                        + " -machine. The image is safe.");
    }

    @ParameterizedTest
    @ValueSource(strings = {DIRECT, STREAMS})
    void otherDevices(String vm) throws Exception {
        withOtherDefinition(vm, "-nodefaults", "-device", "virtio-rng-pci", "-nodefaults");
        cluster.restore("other-devices-" + vm, vm + "-saved");

        restoreFails(
                "other-devices-",
                vm,
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
        // The last that is said of it by itself.
        String version = cluster.awaitVerified("web-saved").getMetadata().getResourceVersion();
        long saves = saves();
        cluster.snapshot("web-saved", "web");

        await().during(Duration.ofSeconds(3))
                .atMost(StandInCluster.PATIENCE)
                .until(() ->
                        saved("web-saved").getMetadata().getResourceVersion().equals(version));
        assertThat(saves()).isEqualTo(saves);
    }

    @ParameterizedTest
    @ValueSource(strings = {DIRECT, STREAMS})
    void withoutDirectIOThePageCacheIsUsed(String vm) {
        assertThat(of(vm).snapshot().getStatus().getDirectIO()).isFalse();
        assertThat(of(vm).snapshot().getStatus().getEngine())
                .isEqualTo(vm.equals(DIRECT) ? "qemu-direct" : "multifd-stream");
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

    @ParameterizedTest
    @ValueSource(strings = {DIRECT, STREAMS})
    @Order(LAST - 1)
    void theImageIsRestoredOnceAllIsRight(String vm) throws Exception {
        withOtherDefinition(vm, "-nodefaults", "-nodefaults");
        cluster.restore(vm + "-back", vm + "-saved");

        cluster.awaitRunning(vm + "-back");
        StandInCluster.awaitGoingOn(cluster.pod(vm), of(vm).lastTick());
        cluster.awaitSnapshot(vm + "-saved", status -> status.getPhase() == SnapshotPhase.Consumed);
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
    private static void restoreFailsByImage(String prefix, String vm, FailureReason reason, String message) {
        String name = prefix + vm;
        Ends.restoreFails(
                cluster,
                name,
                reason,
                exactly("VMRestore " + cluster.namespace + "/" + name + ": ")
                        + message
                        + exactly("The image cannot be restored."));
        VMSnapshot unusable = cluster.awaitSnapshot(vm + "-saved", status -> reason.name()
                .equals(Conditions.reason(status.getConditions(), ConditionType.IMAGE_AVAILABLE)));
        String why = message + exactly("The image cannot be restored while this is so.");
        Ends.assertCondition(unusable.getStatus().getConditions(), ConditionType.IMAGE_AVAILABLE, "False", reason, why);
        await("Ready tells why")
                .atMost(StandInCluster.PATIENCE)
                .untilAsserted(() -> Ends.assertCondition(
                        saved(vm + "-saved").getStatus().getConditions(), ConditionType.READY, "False", reason, why));
    }

    private static void restoreFails(String prefix, String vm, FailureReason reason, String message) {
        String name = prefix + vm;
        Ends.restoreFails(
                cluster, name, reason, exactly("VMRestore " + cluster.namespace + "/" + name + ": " + message));
        VMSnapshot again = cluster.awaitReady(vm + "-saved");
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
    private static void withOtherDefinition(String vm, String argument, String... by) {
        List<String> arguments = definition();
        int at = arguments.indexOf(argument);
        arguments.remove(at);
        arguments.addAll(at, List.of(by));
        var revisions = cluster.client.apps().controllerRevisions().inNamespace(cluster.namespace);
        String name = Objects.requireNonNull(of(vm).snapshot().getStatus().getManifestRevision());
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
}
