package dev.torpor.operator.vm;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.Pod;
import java.util.List;

/**
 * How the launcher is wired into a VM's pod: an emptyDir {@code torpor} mounted at {@code /run/torpor}, an init
 * container that fills it, and a QEMU container whose command begins with the launcher. Without it the next start of
 * the VM could not be held, and there is no place for its QMP socket.
 */
public final class LauncherWiring {
    private static final String MOUNT = "/run/" + Torpor.VOLUME;
    private static final String LAUNCHER = MOUNT + "/bin/launch";

    private LauncherWiring() {}

    /**
     * Returns the name of the container that runs QEMU.
     *
     * @throws TorporException LauncherMissing, saying which part of the wiring is missing
     */
    public static String qemuContainer(Pod pod) throws TorporException {
        if (pod.getSpec().getVolumes().stream()
                .noneMatch(volume -> Torpor.VOLUME.equals(volume.getName()) && volume.getEmptyDir() != null)) {
            throw missing(pod, "an emptyDir volume named " + Torpor.VOLUME);
        }
        if (pod.getSpec().getInitContainers().stream().noneMatch(LauncherWiring::mountsTheVolume)) {
            throw missing(pod, "an init container that mounts volume " + Torpor.VOLUME + " and installs the launcher");
        }
        List<Container> launched = pod.getSpec().getContainers().stream()
                .filter(container -> !container.getCommand().isEmpty()
                        && LAUNCHER.equals(container.getCommand().getFirst()))
                .toList();
        if (launched.size() != 1) {
            throw missing(pod, "exactly one container whose command begins with " + LAUNCHER);
        }
        Container qemu = launched.getFirst();
        if (qemu.getVolumeMounts().stream()
                .noneMatch(mount -> Torpor.VOLUME.equals(mount.getName()) && MOUNT.equals(mount.getMountPath()))) {
            throw missing(
                    pod, "volume %s mounted at %s in container %s".formatted(Torpor.VOLUME, MOUNT, qemu.getName()));
        }
        return qemu.getName();
    }

    private static boolean mountsTheVolume(Container container) {
        return container.getVolumeMounts().stream().anyMatch(mount -> Torpor.VOLUME.equals(mount.getName()));
    }

    private static TorporException missing(Pod pod, String what) {
        return new TorporException(
                FailureReason.LauncherMissing,
                "Pod %s does not start QEMU through the launcher: it lacks %s. Start the VM from a pod that is wired as in the examples. The VM runs."
                        .formatted(pod.getMetadata().getName(), what));
    }
}
