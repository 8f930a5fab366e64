package dev.torpor.e2e.standin;

import static dev.torpor.e2e.standin.Ends.exactly;
import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.e2e.cluster.StandInPod;
import dev.torpor.e2e.disk.ExportedDisk;
import dev.torpor.e2e.disk.FaultyDisk;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.failure.FailureReason;
import io.fabric8.kubernetes.api.model.Condition;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.Predicate;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.api.io.TempDir;

/**
 * The disk of a node's store fails, hangs or goes away under an agent that saves: the VM runs on, and status says why. Writes fail
 * under recorded channels only: a QEMU that writes itself may die of an error of its disk (docs/dev/state.md).
 */
@Tag("standin")
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
@SuppressWarnings("NullAway.Init")
class DiskFaultIT {
    /** FS_IOC_SHUTDOWN of linux/fs.h, without a flush: all that is asked of the file system fails from then on. */
    private static final String SHUT_DOWN =
            "my $how = pack('L', 2); open(my $f, '<', $ARGV[0]) or die $!; ioctl($f, 0x8004587d, $how) or die $!";

    @TempDir
    private static Path temp;

    private static FaultyDisk disk;
    private static StandInCluster cluster;
    private static StandInPod pod;

    @BeforeAll
    static void start() throws Exception {
        disk = FaultyDisk.mount(temp.resolve("faulty"), 512);
        cluster = new StandInCluster(Optional.of(disk.path()));
        cluster.controlPlane.kubectl().runWithInput("""
                apiVersion: torpor.dev/v1alpha1
                kind: VMSnapshotClass
                metadata: {name: slow}
                spec: {bandwidthBytesPerSecond: 2097152}
                ---
                apiVersion: torpor.dev/v1alpha1
                kind: VMSnapshotClass
                metadata: {name: recorded}
                spec: {bandwidthBytesPerSecond: 2097152, engine: MultifdStream}
                """, "apply", "-f", "-");
        pod = cluster.startVm("web", 160, 32);
        // Nothing of QEMU's is there, and its saves need no disk to fail.
        cluster.createPod("none", List.of("/run/torpor/bin/launch", "--", "sleep"), List.of("inf"));
    }

    @AfterAll
    static void stop() throws Exception {
        try (FaultyDisk _ = disk) {
            // Who waits for it can be ended by nobody.
            disk.goOn();
            disk.recover();
            cluster.close();
        }
    }

    @Test
    @Order(1)
    void aDiskThatHangsIsSaidAndTheVmGoesOnWhenItIsBack() throws Exception {
        Tick before = pod.lastTick().orElseThrow();
        cluster.snapshot("hangs", "web", "className: slow", "deadlineSeconds: 15");
        awaitWriting("hangs");
        disk.hang();
        try {
            whileItHangs();
        } finally {
            disk.goOn();
        }

        Ends.saveFails(
                cluster,
                "hangs",
                FailureReason.DeadlineExceeded,
                exactly("VMSnapshot " + cluster.namespace
                        + "/hangs: not done within 15 s: raise deadlineSeconds, or see"
                        + " what keeps the node busy. The VM runs."));
        StandInCluster.awaitGoingOn(pod, before);
    }

    private static void whileItHangs() throws Exception {
        cluster.snapshot("of-none", "none", "deadlineSeconds: 12");
        awaitSaved(
                "hangs",
                message -> message.startsWith("not done within 15 s")
                        && message.endsWith(
                                "; QEMU, or the store's disk, is still at work, and the VM goes on when it is done"));
        // Other VMs are served.
        Ends.saveFails(
                cluster,
                "of-none",
                FailureReason.DeadlineExceeded,
                exactly("VMSnapshot " + cluster.namespace + "/of-none: not done within 12 s; the last trouble was ")
                        + "SocketMissing: .*");
        assertThat(cluster.snapshot("hangs").getStatus().getFailure()).isNull();
    }

    @Test
    @Order(2)
    void writesThatFailAreTriedAgainAndTheVmRunsInBetween() throws Exception {
        Tick before = pod.lastTick().orElseThrow();
        long pauses = pauses();
        cluster.snapshot("fails", "web", "className: recorded", "mode: Checkpoint");
        awaitWriting("fails");
        disk.fail(FaultyDisk.Fault.WRITES);
        awaitSaved("fails", message -> message.contains("Input/output error"));
        StandInCluster.awaitGoingOn(pod, before);
        disk.recover();

        cluster.awaitReady("fails");
        StandInCluster.awaitGoingOn(pod, before);
        assertThat(pauses() - pauses).as("pauses of the guest").isBetween(2L, 4L);
    }

    /** The disk has room for either of two VMs, and not for all that both may need. */
    @Test
    @Order(3)
    void twoSavesDoNotCountOnTheSameRoom() throws Exception {
        Tick before = pod.lastTick().orElseThrow();
        StandInPod mate = cluster.startVm("mate", 256, 8);
        Tick mateBefore = mate.lastTick().orElseThrow();
        // It is under way for as long as the other one takes to be refused.
        cluster.restartAgent("wait before SAVE_WRITE");
        cluster.snapshot("first", "web", "className: slow", "mode: Checkpoint");
        cluster.awaitAgentWaiting();
        long pauses = pauses();
        cluster.snapshot("second", "mate", "mode: Checkpoint");
        awaitSaved("second", message -> message.contains("saves under way may need"));
        assertThat(pauses()).as("pauses of guests").isEqualTo(pauses);
        StandInCluster.awaitGoingOn(mate, mateBefore);
        assertThat(cluster.snapshot("first").getStatus().getFailure()).isNull();

        cluster.controlPlane.kubectl(
                "patch",
                "vmsnap",
                "first",
                "-n",
                cluster.namespace,
                "--type=merge",
                "-p",
                "{\"spec\":{\"cancel\":true}}");
        cluster.letAgentGoOn();
        cluster.awaitAgentWaiting(); // with the other one
        cluster.letAgentGoOn();
        cluster.awaitReady("second");
        cluster.restartAgent("never");
        StandInCluster.awaitGoingOn(mate, mateBefore);
        StandInCluster.awaitGoingOn(pod, before);
    }

    /** Last, as the file system is of no use then until it is mounted again. */
    @Test
    @Order(4)
    void aStoreThatIsGoneInTheMiddleDoesNotKeepTheVm() throws Exception {
        Tick before = pod.lastTick().orElseThrow();
        cluster.snapshot("gone", "web", "className: recorded", "mode: Checkpoint");
        awaitWriting("gone");
        ExportedDisk.run("perl", "-e", SHUT_DOWN, disk.path().toString());

        awaitSaved("gone", message -> message.endsWith("Input/output error. The VM runs."));
        StandInCluster.awaitGoingOn(pod, before);
        assertThat(cluster.snapshot("gone").getStatus().getFailure()).isNull();
    }

    /** Waits until some of the image is written. */
    private static void awaitWriting(String name) {
        cluster.awaitSnapshot(
                name,
                status -> status.getProgress() != null
                        && status.getProgress().doneBytes() != null
                        && status.getProgress().doneBytes() > 0);
    }

    private static void awaitSaved(String name, Predicate<String> message) {
        cluster.awaitSnapshot(name, status -> saved(status).filter(message).isPresent());
    }

    private static Optional<String> saved(VMSnapshotStatus status) {
        return Conditions.find(status.getConditions(), ConditionType.SAVED)
                .filter(condition -> condition.getStatus().equals("False"))
                .map(Condition::getMessage);
    }

    private static long pauses() throws Exception {
        return cluster.steps().stream()
                .filter(step -> step.equals("before SAVE_PAUSE"))
                .count();
    }
}
