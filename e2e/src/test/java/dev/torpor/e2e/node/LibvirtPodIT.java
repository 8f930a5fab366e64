package dev.torpor.e2e.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.cluster.ContainerImages;
import dev.torpor.e2e.guest.GuestImage;
import dev.torpor.e2e.guest.LibvirtExample;
import dev.torpor.e2e.guest.Tick;
import io.fabric8.kubernetes.api.model.ConfigMapBuilder;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** The example's pod in which a libvirt starts QEMU, in a container as the kubelet makes it, with no rights of its own. */
@Tag("node")
@ExtendWith(InstalledTorporExtension.class)
class LibvirtPodIT {
    @Test
    void aSavedDomainComesBackInAnotherContainerAndLibvirtFollows(Scene scene) throws IOException {
        scene.cluster.node().load(ContainerImages.ofLibvirt());
        apply(scene);
        Tick before = scene.awaitTick("web");
        assertThat(virsh(scene, "domstate", "web")).isEqualTo("running");

        scene.snapshot("web-saved", "web");
        scene.awaitReady("vmsnap/web-saved");
        scene.restore("web-back", "web-saved");
        scene.awaitReady("vmrest/web-back");
        assertThat(scene.field("vmrest/web-back", ".status.strategy")).isEqualTo("Eager");
        scene.awaitGoingOn("web", before);
        scene.awaitConsumed("vmsnap/web-saved");

        await("libvirt's word").atMost(Scene.PATIENCE).until(() -> virsh(scene, "domstate", "web")
                .equals("running"));
        assertThat(virsh(scene, "suspend", "web")).contains("suspended");
        assertThat(virsh(scene, "domstate", "web")).isEqualTo("paused");
        assertThat(virsh(scene, "resume", "web")).contains("resumed");
        scene.awaitGoingOn("web", scene.ticks("web").getLast());
    }

    private static String virsh(Scene scene, String... command) {
        return scene.kubectl("exec", "web", "-c", "libvirt", "--", "virsh", String.join(" ", command))
                .strip();
    }

    /** Applies the example with an image and a domain of ours, and without its disk. */
    private static void apply(Scene scene) throws IOException {
        LibvirtExample example =
                LibvirtExample.read(scene.cluster.controlPlane().client());
        GuestImage guest = new GuestImage(Path.of("/boot/vmlinuz"), Path.of("/boot/initrd.gz"));
        scene.apply(Serialization.asYaml(new ConfigMapBuilder(example.domain())
                .addToData("web.xml", LibvirtExample.definition("web", guest, LibvirtExample.CONSOLE))
                .build()));
        scene.apply(Serialization.asYaml(new PodBuilder(example.pod())
                .editSpec()
                .editFirstContainer()
                .withImage(ContainerImages.VM_LIBVIRT)
                .withImagePullPolicy("Never")
                .withResources(null)
                .removeMatchingFromVolumeMounts(mount -> "disks".equals(mount.getName()))
                .endContainer()
                .removeMatchingFromVolumes(volume -> "disks".equals(volume.getName()))
                .endSpec()
                .build()));
    }
}
