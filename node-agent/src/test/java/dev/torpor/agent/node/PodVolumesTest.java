package dev.torpor.agent.node;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.image.VmDisks.Claim;
import dev.torpor.agent.linux.FileFacts;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PodVolumesTest {
    private static final String UID = "pod-uid";
    private static final Instant WRITTEN = Instant.parse("2026-01-02T03:04:05.678901234Z");
    private static final Claim ROOT = new Claim("root", "11");
    private static final Claim DATA = new Claim("data", "22");

    @TempDir
    Path kubelet;

    private PodVolumes volumes;

    @BeforeEach
    void aPodWithTwoClaims() throws IOException {
        volumes = new PodVolumes(new PodDirectories(kubelet));
        volumes.seen(pod(UID));
        Files.createDirectories(volume("kubernetes.io~empty-dir/torpor"));
    }

    @Test
    void findsADiskOnAVolumeThatWasProvisionedForItsClaim() throws IOException {
        file("kubernetes.io~csi/pvc-11/mount/disk.img", 1);
        file("kubernetes.io~csi/pvc-22/mount/disk.img", 2);
        assertThat(find("/disks/root/disk.img").map(FileFacts::sizeBytes)).contains(1L);
        assertThat(find("/disks/root/disk.img").map(FileFacts::modifiedAt)).contains(WRITTEN);
        // The container sees a folder of the volume.
        file("kubernetes.io~csi/pvc-22/mount/db/deep/disk.img", 3);
        assertThat(find("/disks/data/deep/disk.img").map(FileFacts::sizeBytes)).contains(3L);
    }

    @Test
    void findsADiskOnTheOnlyVolumeThatHasIt() throws IOException {
        file("kubernetes.io~local-volume/fast-7/system", 1);
        file("kubernetes.io~nfs/slow-7/db/other", 2);
        assertThat(find("/disks/root/system").map(FileFacts::sizeBytes)).contains(1L);
        assertThat(find("/disks/data/other").map(FileFacts::sizeBytes)).contains(2L);
    }

    @Test
    void saysNothingWhereTwoVolumesHaveIt() throws IOException {
        file("kubernetes.io~local-volume/fast-7/disk", 1);
        file("kubernetes.io~local-volume/fast-8/disk", 2);
        assertThat(find("/disks/root/disk")).isEmpty();
    }

    @Test
    void findsADiskThatGoesWithThePod() throws IOException {
        file("kubernetes.io~empty-dir/scratch/disk", 4);
        assertThat(find("/scratch/disk").map(FileFacts::sizeBytes)).contains(4L);
    }

    @Test
    void looksOnVolumesOnly() throws IOException {
        file("kubernetes.io~local-volume/fast-7/disk", 1);
        file("kubernetes.io~configmap/scratch/disk", 1);
        assertThat(find("/scratch/disk")).isEmpty();
        assertThat(find("/elsewhere/disk")).isEmpty();
        assertThat(find("disk")).isEmpty();
    }

    @Test
    void isLedNowhereElse() throws IOException {
        Path secret = Files.writeString(kubelet.resolve("secret"), "x");
        Path root = volume("kubernetes.io~csi/pvc-11/mount");
        Files.createDirectories(root);
        Files.createSymbolicLink(root.resolve("link"), secret);
        Files.createSymbolicLink(root.resolve("folder"), kubelet);
        Files.createDirectory(root.resolve("directory"));
        assertThat(find("/disks/root/link")).isEmpty();
        assertThat(find("/disks/root/folder/secret")).isEmpty();
        assertThat(find("/disks/root/directory")).isEmpty();
        assertThat(find("/disks/root/../../../../../../secret")).isEmpty();
        assertThat(find("/disks/root")).isEmpty();
    }

    @Test
    void waitsForAPodThatItHasNotYetHeardOf() throws Exception {
        Path file = kubelet.resolve("pods/late/volumes/kubernetes.io~csi/pvc-11/mount/disk");
        Files.createDirectories(file.getParent());
        Files.write(file, new byte[5]);
        Thread informer = Thread.ofPlatform().start(() -> volumes.seen(pod("late")));
        assertThat(volumes.find("late", List.of(ROOT), "/disks/root/disk").map(FileFacts::sizeBytes))
                .contains(5L);
        informer.join();
    }

    private Optional<FileFacts> find(String file) {
        return volumes.find(UID, List.of(ROOT, DATA), file);
    }

    private Path volume(String path) {
        return kubelet.resolve("pods").resolve(UID).resolve("volumes").resolve(path);
    }

    private void file(String path, int bytes) throws IOException {
        Path file = volume(path);
        Files.createDirectories(file.getParent());
        Files.write(file, new byte[bytes]);
        Files.setLastModifiedTime(file, FileTime.from(WRITTEN));
    }

    private static Pod pod(String uid) {
        return new PodBuilder()
                .withNewMetadata()
                .withUid(uid)
                .endMetadata()
                .withNewSpec()
                .addNewVolume()
                .withName("a")
                .withNewPersistentVolumeClaim("root", false)
                .endVolume()
                .addNewVolume()
                .withName("b")
                .withNewPersistentVolumeClaim("data", false)
                .endVolume()
                .addNewVolume()
                .withName("scratch")
                .withNewEmptyDir()
                .endEmptyDir()
                .endVolume()
                .addNewContainer()
                .withName("qemu")
                .addNewVolumeMount()
                .withName("a")
                .withMountPath("/disks/root/")
                .endVolumeMount()
                .addNewVolumeMount()
                .withName("b")
                .withMountPath("/disks/data")
                .withSubPath("db")
                .endVolumeMount()
                .addNewVolumeMount()
                .withName("scratch")
                .withMountPath("/scratch")
                .endVolumeMount()
                .endContainer()
                .endSpec()
                .build();
    }
}
