package dev.torpor.e2e.node;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.e2e.cluster.Command;
import dev.torpor.e2e.guest.Tick;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** A VM with a disk on a claim, on a real kubelet. */
@Tag("node")
@ExtendWith(InstalledTorporExtension.class)
class DisksIT {
    @Test
    void goesOnWithItsDiskAndNotWithAnother(Scene scene) throws Exception {
        Path folder =
                Files.createTempDirectory(scene.cluster.node().kubeletRoot().getParent(), "volume-");
        Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxrwxrwx"));
        Path disk = folder.resolve("disk");
        Command.run("qemu-img", "create", "-q", "-f", "raw", disk.toString(), "16M");
        Files.setPosixFilePermissions(disk, PosixFilePermissions.fromString("rw-rw-rw-"));
        createClaim(scene, "db", folder);
        Tick first = scene.start(VmManifest.of("db").disk());
        assertThat(first.disk()).isEqualTo("ok");

        scene.snapshot("db-1", "db");
        scene.awaitReady("vmsnap/db-1");
        scene.restore("db-1-back", "db-1");
        scene.awaitReady("vmrest/db-1-back");
        scene.awaitGoingOn("db", first);
        Tick second = scene.awaitTick("db");
        assertThat(second.disk()).isEqualTo("ok");

        scene.snapshot("db-2", "db");
        scene.awaitReady("vmsnap/db-2");
        // The same bytes, of the same number, written by somebody else meanwhile.
        Instant written = Files.getLastModifiedTime(disk).toInstant();
        Files.setLastModifiedTime(disk, FileTime.from(written.plusNanos(1)));
        scene.restore("db-2-refused", "db-2");
        assertThat(scene.awaitFailure("vmrest/db-2-refused"))
                .startsWith("DisksMovedOn: ")
                .contains(
                        "disk /disks/disk is not what it was when the VM was saved: it was last written to at %s, and at %s when it was saved"
                                .formatted(written.plusNanos(1), written));

        scene.kubectl("delete", "pod", "db", "--ignore-not-found", "--timeout=60s");
        scene.restore("db-2-back", "db-2", "disks: Ephemeral");
        scene.awaitReady("vmrest/db-2-back");
        scene.awaitGoingOn("db", second);
        assertThat(scene.awaitTick("db").disk()).isEqualTo("ok");
    }

    private static void createClaim(Scene scene, String name, Path folder) {
        String volume = "volume-" + scene.namespace + "-" + name;
        scene.apply("""
                apiVersion: v1
                kind: PersistentVolume
                metadata: {name: %1$s}
                spec:
                  accessModes: [ReadWriteOnce]
                  capacity: {storage: 1Gi}
                  storageClassName: ""
                  persistentVolumeReclaimPolicy: Retain
                  local: {path: %2$s}
                  nodeAffinity:
                    required:
                      nodeSelectorTerms:
                        - matchExpressions: [{key: kubernetes.io/hostname, operator: Exists}]
                ---
                apiVersion: v1
                kind: PersistentVolumeClaim
                metadata: {name: %3$s}
                spec:
                  accessModes: [ReadWriteOnce]
                  storageClassName: ""
                  volumeName: %1$s
                  resources: {requests: {storage: 1Gi}}
                """.formatted(volume, folder, name));
    }
}
