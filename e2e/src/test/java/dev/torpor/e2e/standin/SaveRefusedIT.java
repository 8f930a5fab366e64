package dev.torpor.e2e.standin;

import static dev.torpor.e2e.standin.Ends.exactly;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.e2e.cluster.StandInPod;
import dev.torpor.e2e.guest.GuestImage;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.failure.FailureReason;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Saves that cannot be done, or are not to be: what the user reads, and that the VM goes on as the message says. */
@Tag("standin")
class SaveRefusedIT {
    private static final int MEMORY_MIB = 128;
    // Long enough for a try on a loaded machine.
    private static final int DEADLINE_SECONDS = 20;
    private static final String[] BLOCKED = {
        "-drive", "if=none,id=d0,file=null-co://,format=raw", "-device", "nvme,drive=d0,serial=x"
    };

    @SuppressWarnings("NullAway.Init")
    private static Mount mount;

    @SuppressWarnings("NullAway.Init")
    private static StandInCluster cluster;

    @BeforeAll
    static void start() throws Exception {
        mount = Mount.tmpfs(512);
        cluster = new StandInCluster(Optional.of(mount.directory()));
        apply("{apiVersion: torpor.dev/v1alpha1, kind: VMSnapshotClass, metadata: {name: slow},"
                + " spec: {bandwidthBytesPerSecond: 2097152}}");
        apply("{apiVersion: torpor.dev/v1alpha1, kind: VMSnapshotClass, metadata: {name: streams},"
                + " spec: {engine: MultifdStream}}");
        // All at once, so that they boot while the others are at work.
        // Enough to write for some twelve seconds: QEMU takes its limit of bytes per second as a hint.
        createVm("slow", 48);
        createVm("blocked", 0, BLOCKED);
        for (String mode : List.of("none", "silent", "http", "old")) {
            cluster.createPod(
                    mode,
                    List.of("/run/torpor/bin/launch", "--", "perl"),
                    List.of(
                            Path.of("src/test/resources/dev/torpor/e2e/standin/monitor.pl")
                                    .toAbsolutePath()
                                    .toString(),
                            mode));
        }
        // Their time is to pass while others are tested, and none of it in waiting for the agent.
        await("the agent").atMost(StandInCluster.PATIENCE).until(() -> !cluster.client
                .leases()
                .inNamespace(Torpor.SYSTEM_NAMESPACE)
                .list()
                .getItems()
                .isEmpty());
        for (String mode : List.of("none", "silent")) {
            awaitMonitor(mode);
        }
        cluster.snapshot("of-none", "none", "deadlineSeconds: " + DEADLINE_SECONDS);
        cluster.snapshot("of-silent", "silent", "deadlineSeconds: " + DEADLINE_SECONDS);
        cluster.createPod("bare", List.of("perl"), List.of("-e", "sleep while 1"));
    }

    @AfterAll
    static void stop() throws Exception {
        try (var _ = mount;
                var _ = cluster) {
            // both end here, also when the start failed
        }
    }

    @Test
    void podWithoutTheLauncher() {
        cluster.pod("bare");
        cluster.snapshot("of-bare", "bare");

        Ends.saveIsRefused(
                cluster,
                "of-bare",
                FailureReason.LauncherMissing,
                exactly("Pod bare does not start QEMU through the launcher: it lacks exactly one container whose"
                        + " command begins with /run/torpor/bin/launch. Start the VM from a pod that is wired as in the"
                        + " examples. The VM runs."));
    }

    @Test
    void podWithoutASocket() {
        Ends.saveFails(
                cluster,
                "of-none",
                FailureReason.DeadlineExceeded,
                exactly(about("of-none") + "not done within 20 s; the last trouble was SocketMissing: there is no QMP"
                        + " socket in the pod's volume torpor: is QEMU started through the launcher?"
                        + " No QEMU of the VM answers: see its pod."));
    }

    @Test
    void socketThatNeverGreets() {
        Ends.saveFails(
                cluster,
                "of-silent",
                FailureReason.DeadlineExceeded,
                exactly(about("of-silent")
                        + "not done within 20 s; the last trouble was QMPTimeout: no answer in time to"
                        + " the greeting (does another client hold the monitor?). The VM runs."));
    }

    @Test
    void socketThatIsNotQemu() throws Exception {
        awaitMonitor("http");
        cluster.snapshot("of-http", "http");

        Ends.saveFails(
                cluster,
                "of-http",
                FailureReason.NotQEMU,
                exactly(about("of-http")) + "what answers on the socket does not speak QMP: .*'HTTP'.*"
                        + exactly(" The VM runs."));
    }

    @Test
    void qemuWithoutMultifd() throws Exception {
        awaitMonitor("old");
        cluster.snapshot("of-old", "old");

        Ends.saveFails(
                cluster,
                "of-old",
                FailureReason.CapabilityMissing,
                exactly(about("of-old") + "QEMU 3.1.0 lacks multifd: the engine multifd-stream needs QEMU 4.0 or newer."
                        + " The VM runs."));
    }

    @Test
    void deviceThatBlocksMigration() throws Exception {
        StandInPod pod = cluster.pod("blocked");
        Tick before = pod.awaitTick(tick -> tick.number() >= 2);
        cluster.snapshot("of-blocked", "blocked");

        Ends.saveFails(
                cluster,
                "of-blocked",
                FailureReason.MigrationBlocked,
                exactly(
                        about("of-blocked")
                                + "QEMU cannot save this VM: non-migratable device: 0000:00:01.0/nvme: remove the device, or have the guest let go of it. The VM runs."));
        StandInCluster.awaitGoingOn(pod, before);
    }

    @Test
    void channelsOutOfRangeAreNotEvenAccepted() {
        for (int channels : new int[] {0, 256}) {
            String manifest = "{apiVersion: torpor.dev/v1alpha1, kind: VMSnapshot, metadata: {name: many, namespace: "
                    + cluster.namespace + "}, spec: {vmName: slow, parallel: {channels: " + channels + "}}}";
            assertThatThrownBy(() -> apply(manifest))
                    .hasMessageContaining(
                            "spec.parallel.channels: Invalid value: " + channels + ": spec.parallel.channels in body"
                                    + " should be "
                                    + (channels == 0 ? "greater than or equal to 1" : "less than or equal to 255"));
        }
    }

    @Test
    void storeWithoutRoom() throws Exception {
        StandInPod pod = cluster.pod("slow");
        Tick before = pod.awaitTick(tick -> tick.number() >= 2);
        Path ballast = mount.directory().resolve("ballast");
        try (RandomAccessFile file = new RandomAccessFile(ballast.toFile(), "rw")) {
            for (int mib = 0; mib < 400; mib++) {
                file.write(new byte[1 << 20]);
            }
        }
        cluster.snapshot("no-room", "slow", "deadlineSeconds: " + DEADLINE_SECONDS);

        Ends.saveFails(
                cluster,
                "no-room",
                FailureReason.DeadlineExceeded,
                exactly(about("no-room")
                                + "not done within 20 s; the last trouble was NotEnoughSpace: the image may need ")
                        + "2\\d{8} bytes and the store has 1\\d{8}"
                        + exactly(
                                " free: delete images that are no longer needed, or enlarge the store. The VM runs."));
        StandInCluster.awaitGoingOn(pod, before);

        // The other engine asks for room by itself.
        cluster.snapshot("waits-for-room", "slow", "mode: Checkpoint", "className: streams");
        cluster.awaitSnapshot("waits-for-room", status -> Conditions.find(status.getConditions(), ConditionType.SAVED)
                .filter(saved -> saved.getReason().equals("NotEnoughSpace"))
                .isPresent());
        Files.delete(ballast);
        assertThat(cluster.awaitReady("waits-for-room").getStatus().getEngine()).isEqualTo("multifd-stream");
        cluster.controlPlane.kubectl("delete", "vmsnap", "waits-for-room", "-n", cluster.namespace);
        StandInCluster.awaitGoingOn(pod, before);
    }

    @Test
    void cancelDuringASave() throws Exception {
        StandInPod pod = cluster.pod("slow");
        Tick before = pod.awaitTick(tick -> tick.number() >= 2);
        cluster.snapshot("cancelled", "slow", "className: slow");
        awaitWriting("cancelled");
        cluster.controlPlane.kubectl(
                "patch",
                "vmsnap",
                "cancelled",
                "-n",
                cluster.namespace,
                "--type=merge",
                "-p",
                "{\"spec\":{\"cancel\":true}}");

        Ends.saveFails(
                cluster,
                "cancelled",
                FailureReason.Cancelled,
                exactly(about("cancelled") + "it was cancelled. The VM runs."));
        StandInCluster.awaitGoingOn(pod, before);
    }

    @Test
    void deadlineDuringASave() throws Exception {
        StandInPod pod = cluster.pod("slow");
        Tick before = pod.awaitTick(tick -> tick.number() >= 2);
        cluster.snapshot("late", "slow", "className: slow", "deadlineSeconds: 8");
        awaitWriting("late");

        Ends.saveFails(
                cluster,
                "late",
                FailureReason.DeadlineExceeded,
                exactly(about("late") + "not done within 8 s: raise deadlineSeconds, or see what keeps the node busy."
                        + " The VM runs."));
        StandInCluster.awaitGoingOn(pod, before);
    }

    @Test
    void qemuKilledDuringASave() throws Exception {
        createVm("killed", 32);
        StandInPod pod = cluster.pod("killed");
        Tick before = pod.awaitTick(tick -> tick.number() >= 2);
        cluster.snapshot("of-killed", "killed", "className: slow");
        awaitWriting("of-killed");
        pod.killContainer();

        Ends.saveFails(
                cluster,
                "of-killed",
                FailureReason.QEMUGone,
                exactly(about("of-killed"))
                        + "(lost the|QEMU closed its) monitor (while waiting for|while we waited for|before) (query-migrate|an event)\\. "
                        + "(No QEMU of the VM answers: see its pod|The VM runs)\\.");
        pod.awaitTick(tick -> !tick.nonce().equals(before.nonce()));
    }

    private static void apply(String manifest) {
        cluster.controlPlane.kubectl().runWithInput(manifest, "apply", "-f", "-");
    }

    private static void createVm(String name, int fillMiB, String... more) {
        List<String> arguments = new ArrayList<>(GuestImage.get().arguments(MEMORY_MIB, fillMiB));
        arguments.addAll(List.of("-serial", "stdio", "-monitor", "none"));
        arguments.addAll(List.of(more));
        cluster.createPod(name, List.of("/run/torpor/bin/launch", "--", "qemu-system-x86_64"), arguments);
    }

    private static String about(String snapshot) {
        return "VMSnapshot " + cluster.namespace + "/" + snapshot + ": ";
    }

    private static void awaitMonitor(String mode) {
        StandInPod pod = cluster.pod(mode);
        await(mode).atMost(StandInCluster.PATIENCE).until(() -> pod.output().contains("monitor: " + mode));
    }

    /** Waits until some of the image is in its file. */
    private static void awaitWriting(String name) {
        VMSnapshot snapshot = cluster.awaitSnapshot(
                name,
                status -> status.getProgress() != null
                        && status.getProgress().doneBytes() != null
                        && status.getProgress().doneBytes() > 0);
        assertThat(Ends.files(cluster, snapshot)).isNotEmpty();
    }
}
