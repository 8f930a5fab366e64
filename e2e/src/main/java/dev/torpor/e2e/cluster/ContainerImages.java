package dev.torpor.e2e.cluster;

import dev.torpor.e2e.tree.WorkTree;
import java.nio.file.Path;
import java.util.List;

/**
 * The folder with the archives of container images that {@code tools/images.sh} packs and keeps.
 *
 * @param directory absolute path of the folder
 */
public record ContainerImages(Path directory) {
    /** What VMs run in: QEMU, a shell, the guest's kernel and initramfs in {@code /boot}. */
    public static final String VM = "torpor-vm:local";
    /** What the init container of a VM's pod runs. */
    public static final String LAUNCHER = "torpor-launcher:local";
    /** What holds a pod's namespaces. */
    public static final String PAUSE = "torpor-pause:local";

    private static final class Found {
        static final ContainerImages INSTANCE = new ContainerImages(Path.of(WorkTree.run("tools/images.sh")));
    }

    /** Returns the archives, packing them at the first call on a machine. */
    public static ContainerImages find() {
        return Found.INSTANCE;
    }

    /** Loads all of them into the containerd at a socket, where its kubelet finds them. */
    public void loadInto(Path socket) {
        for (String name : List.of("pause", "launcher", "vm")) {
            Command.run(
                    "ctr",
                    "--address=" + socket,
                    "--namespace=k8s.io",
                    "images",
                    "import",
                    directory.resolve(name + ".tar").toString());
        }
    }
}
