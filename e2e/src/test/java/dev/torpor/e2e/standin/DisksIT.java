package dev.torpor.e2e.standin;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.e2e.cluster.Command;
import dev.torpor.e2e.cluster.StandInPod;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.failure.FailureReason;
import io.fabric8.kubernetes.api.model.Condition;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * VMs with disks on a claim's volume. Each guest keeps a line on its disk, and reads at each tick whether it is the one that
 * it wrote last, as it remembers.
 */
@Tag("standin")
class DisksIT {
    @SuppressWarnings("NullAway.Init")
    private static StandInCluster cluster;

    @BeforeAll
    static void start() throws Exception {
        cluster = StandInCluster.withWebhook();
    }

    @AfterAll
    static void stop() {
        cluster.close();
    }

    @Test
    void managedVmGoesOnWithTheDiskOfItsClaim() throws Exception {
        Path disk = createDisk("db", "qcow2");
        StandInPod pod = startVm("db", "qcow2");
        cluster.snapshot("db-saved", "db", "mode: ManagedSave");
        var saved = cluster.awaitSnapshot("db-saved", status -> status.getConsumedBy() != null);
        Tick last = pod.lastTick().orElseThrow();

        assertThat(saved.getStatus().getClaims()).containsExactly(new ObjectName("db", claimUid("db")));
        assertThat(cluster.pod("db").uid()).isNotEqualTo(pod.uid());
        Tick now = goesOn("db", last);
        assertThat(now.disk()).isEqualTo("ok");
        assertThat(Files.size(disk)).isPositive();
    }

    @Test
    void diskThatAnotherProcessHasIsWaitedFor() throws Exception {
        Path disk = createDisk("mail", "raw");
        Tick last = save("mail", "raw");
        Process holder = hold(disk);
        try {
            cluster.restore("mail-back", "mail-saved");
            var held = cluster.awaitRestore("mail-back", object -> FailureReason.DiskLocked.name()
                    .equals(Conditions.reason(
                            requireNonNull(object.getStatus()).getConditions(), ConditionType.RESUMED)));
            assertThat(requireNonNull(held.getStatus()).getFailure()).isNull();
            assertThat(message(held.getStatus().getConditions(), ConditionType.RESUMED))
                    .contains("another process has a disk of the VM open")
                    .contains("lock");
        } finally {
            end(holder);
        }
        cluster.awaitRunning("mail-back");
        assertThat(goesOn("mail", last).disk()).isEqualTo("ok");
    }

    @Test
    void diskThatWasWrittenToIsNotResumedOntoUnlessAPersonSaysSo() throws Exception {
        Path disk = createDisk("web", "raw");
        Tick last = save("web", "raw");
        // As much as it had, and not what the guest reads.
        Command.run("qemu-io", "-f", "raw", "-c", "write 1M 512", disk.toString());

        cluster.restore("web-refused", "web-saved");
        var failure = requireNonNull(
                requireNonNull(cluster.awaitRestoreFailure("web-refused").getStatus())
                        .getFailure());
        assertThat(failure.reason()).isEqualTo(FailureReason.DisksMovedOn.name());
        assertThat(failure.message())
                .startsWith(
                        "VMRestore " + cluster.namespace
                                + "/web-refused: disk /run/disks/disk is not what it was when the VM was saved: it was last written to at")
                .endsWith("The image is safe.");

        cluster.deletePod("web");
        cluster.restore("web-back", "web-saved", "disks: Ephemeral");
        cluster.awaitRunning("web-back");
        assertThat(goesOn("web", last).disk()).isEqualTo("ok");
    }

    @Test
    void claimOfTheSameNameThatIsAnotherHoldsTheStart() throws Exception {
        Path disk = createDisk("ldap", "raw");
        StandInPod pod = startVm("ldap", "raw");
        cluster.snapshot("ldap-saved", "ldap", "mode: ManagedSave", "resume: Manual");
        var _ = cluster.awaitReady("ldap-saved");
        Tick last = pod.lastTick().orElseThrow();
        String before = claimUid("ldap");
        cluster.deletePod("ldap");
        cluster.deleteClaim("ldap");
        cluster.createClaim("ldap", requireNonNull(disk.getParent()));

        cluster.restore("ldap-refused", "ldap-saved");
        var refused = cluster.awaitRestore(
                "ldap-refused",
                object -> Conditions.isTrue(requireNonNull(object.getStatus()).getConditions(), ConditionType.STALLED));
        assertThat(Conditions.reason(requireNonNull(refused.getStatus()).getConditions(), ConditionType.READY))
                .isEqualTo(FailureReason.ClaimReplaced.name());
        assertThat(message(refused.getStatus().getConditions(), ConditionType.READY))
                .contains("PersistentVolumeClaim ldap of VM ldap was deleted since the save")
                .contains("was " + before)
                .endsWith("The image is safe.");

        cluster.restore("ldap-back", "ldap-saved", "disks: Restored");
        cluster.awaitRunning("ldap-back");
        assertThat(goesOn("ldap", last).disk()).isEqualTo("ok");
    }

    private static Path createDisk(String claim, String format) throws IOException {
        Path folder = Files.createDirectories(
                cluster.controlPlane.directory().resolve("volumes").resolve(claim));
        Path disk = folder.resolve("disk");
        Command.run("qemu-img", "create", "-q", "-f", format, disk.toString(), "16M");
        cluster.createClaim(claim, folder);
        return disk;
    }

    private static StandInPod startVm(String name, String format) throws IOException {
        StandInPod pod = cluster.startVmWithClaim(name, "-drive", "file=/run/disks/disk,if=virtio,format=" + format);
        assertThat(pod.awaitTick(tick -> tick.number() >= 2).disk()).isEqualTo("ok");
        return pod;
    }

    /** Saves a VM that was started for it, and returns its last tick. */
    private static Tick save(String name, String format) throws IOException {
        StandInPod pod = startVm(name, format);
        cluster.snapshot(name + "-saved", name);
        var _ = cluster.awaitReady(name + "-saved");
        return pod.lastTick().orElseThrow();
    }

    private static Tick goesOn(String name, Tick last) throws IOException {
        return StandInCluster.awaitGoingOn(cluster.pod(name), last);
    }

    /** Has another process open a disk to write to it, with QEMU's locks. */
    private static Process hold(Path disk) throws IOException {
        Process holder = new ProcessBuilder("qemu-io", "-f", "raw", disk.toString()).start();
        // It answers when it has opened the disk.
        holder.getOutputStream().write("length\n".getBytes(StandardCharsets.UTF_8));
        holder.getOutputStream().flush();
        assertThat(holder.inputReader().readLine()).contains("16 MiB");
        return holder;
    }

    private static void end(Process holder) throws InterruptedException {
        holder.destroyForcibly();
        holder.waitFor();
    }

    private static String claimUid(String name) {
        return cluster.client
                .persistentVolumeClaims()
                .inNamespace(cluster.namespace)
                .withName(name)
                .get()
                .getMetadata()
                .getUid();
    }

    private static String message(@Nullable List<Condition> conditions, String type) {
        return Conditions.find(conditions, type).orElseThrow().getMessage();
    }
}
