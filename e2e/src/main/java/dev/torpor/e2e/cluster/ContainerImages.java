package dev.torpor.e2e.cluster;

import dev.torpor.e2e.tree.WorkTree;
import java.nio.file.Path;
import java.util.List;

/**
 * The folder with the archives of container images that {@code tools/images.sh} packs.
 *
 * @param directory absolute path of the folder
 */
public record ContainerImages(Path directory) {
    /** The operator, as it is installed. */
    public static final String OPERATOR = "torpor-operator:local";
    /** The agent of a node, as it is installed. */
    public static final String AGENT = "torpor-agent:local";
    /** What VMs run in: QEMU, a shell, the guest's kernel and initramfs in {@code /boot}. */
    public static final String VM = "torpor-vm:local";
    /** What VMs run in that a libvirt starts: the same, and libvirt. */
    public static final String VM_LIBVIRT = "torpor-vm-libvirt:local";
    /** What the init container of a VM's pod runs. */
    public static final String LAUNCHER = "torpor-launcher:local";
    /** What holds a pod's namespaces. */
    public static final String PAUSE = "torpor-pause:local";

    private static final class Found {
        static final ContainerImages INSTANCE = new ContainerImages(Path.of(WorkTree.run("tools/images.sh")));
    }

    /** Returns the archives, packing those whose inputs have changed. Operator and agent are those that Maven built last. */
    public static ContainerImages find() {
        return Found.INSTANCE;
    }

    /** Returns the archive of {@code torpor-vm-VERSION:local}, in which VMs of another QEMU run, packing it if need be. */
    public static Path vmOf(String version) {
        return Path.of(WorkTree.run("tools/images/vm.sh", version));
    }

    /** Returns the archive of {@link #VM_LIBVIRT}, packing it if need be. */
    public static Path ofLibvirt() {
        return Path.of(WorkTree.run("tools/images/libvirt.sh"));
    }

    /** Loads all of them into the containerd at a socket, where its kubelet finds them. */
    public void loadInto(Path socket) {
        for (String image : List.of(PAUSE, LAUNCHER, VM, OPERATOR, AGENT)) {
            load(archive(image), socket);
        }
    }

    static void load(Path archive, Path socket) {
        Command.run("ctr", "--address=" + socket, "--namespace=k8s.io", "images", "import", archive.toString());
    }

    /** Returns the path of the archive of one of the images above. */
    public Path archive(String image) {
        String name = image.substring("torpor-".length(), image.indexOf(':'));
        return directory.resolve(name + ".tar");
    }
}
