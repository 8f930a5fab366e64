package dev.torpor.operator.vm;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.Pod;
import java.util.List;
import java.util.Optional;

/**
 * How the launcher is wired into a VM's pod: an emptyDir {@code torpor} mounted at {@code /run/torpor}, an init
 * container that fills it, and a QEMU container whose command begins with the launcher. Without it the next start of
 * the VM could not be held, and there is no place for its QMP socket.
 */
public final class LauncherWiring {
    /** Where the volume that launcher and agent share is mounted. */
    public static final String MOUNT = "/run/" + Torpor.VOLUME;
    /** Path of the launcher in the QEMU container. */
    public static final String LAUNCHER = MOUNT + "/bin/launch";
    /** Name of the init container that installs the launcher, where we add it. */
    public static final String INIT_CONTAINER = "torpor-launcher";

    private LauncherWiring() {}

    /**
     * Returns the name of the container that runs QEMU.
     *
     * @throws TorporException LauncherMissing, saying which part of the wiring is missing
     */
    public static String qemuContainer(Pod pod) throws TorporException {
        Optional<String> lacks = lacks(pod);
        if (lacks.isPresent()) {
            throw missing(pod, lacks.get());
        }
        return launched(pod).getFirst().getName();
    }

    /** Returns the first part of the wiring that a pod lacks, in words; empty if it is complete. */
    public static Optional<String> lacks(Pod pod) {
        if (pod.getSpec().getVolumes().stream()
                .noneMatch(volume -> Torpor.VOLUME.equals(volume.getName()) && volume.getEmptyDir() != null)) {
            return Optional.of("an emptyDir volume named " + Torpor.VOLUME);
        }
        if (pod.getSpec().getInitContainers().stream().noneMatch(LauncherWiring::mountsTheVolume)) {
            return Optional.of("an init container that mounts volume " + Torpor.VOLUME + " and installs the launcher");
        }
        List<Container> launched = launched(pod);
        if (launched.size() != 1) {
            return Optional.of("exactly one container whose command begins with " + LAUNCHER);
        }
        Container qemu = launched.getFirst();
        if (qemu.getVolumeMounts().stream()
                .noneMatch(mount -> Torpor.VOLUME.equals(mount.getName()) && MOUNT.equals(mount.getMountPath()))) {
            return Optional.of(
                    "volume %s mounted at %s in container %s".formatted(Torpor.VOLUME, MOUNT, qemu.getName()));
        }
        return Optional.empty();
    }

    /** Returns whether the container's command begins with the launcher. */
    public static boolean isLaunched(Container container) {
        return !container.getCommand().isEmpty()
                && LAUNCHER.equals(container.getCommand().getFirst());
    }

    /** Returns whether the container mounts the volume that launcher and agent share. */
    public static boolean mountsTheVolume(Container container) {
        return container.getVolumeMounts().stream().anyMatch(mount -> Torpor.VOLUME.equals(mount.getName()));
    }

    private static List<Container> launched(Pod pod) {
        return pod.getSpec().getContainers().stream()
                .filter(LauncherWiring::isLaunched)
                .toList();
    }

    private static TorporException missing(Pod pod, String what) {
        return new TorporException(
                FailureReason.LauncherMissing,
                "Pod %s does not start QEMU through the launcher: it lacks %s. Start the VM from a pod that is wired as in the examples. The VM runs."
                        .formatted(pod.getMetadata().getName(), what));
    }
}
