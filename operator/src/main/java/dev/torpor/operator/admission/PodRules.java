package dev.torpor.operator.admission;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.operator.vm.LauncherWiring;
import dev.torpor.operator.vm.VmPods;
import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.OwnerReference;
import io.fabric8.kubernetes.api.model.Volume;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import java.util.regex.Pattern;

/** What a VM's pod must look like, as far as the pod alone tells it. The first rule that is broken is the answer. */
final class PodRules {
    private static final Pattern VM_NAME = Pattern.compile("[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?");

    /** Rules of a pod that is created; a pod that exists cannot be mended in these. */
    private static final List<Function<PodRequest, Optional<Denial>>> RULES = List.of(
            PodRules::name,
            PodRules::owner,
            PodRules::restartPolicy,
            PodRules::container,
            PodRules::command,
            PodRules::volume,
            PodRules::mount,
            PodRules::initContainer);

    private PodRules() {}

    /** Returns why a pod cannot be a VM's. */
    static Optional<Denial> check(PodRequest request) {
        return RULES.stream().flatMap(rule -> rule.apply(request).stream()).findFirst();
    }

    private static Optional<Denial> name(PodRequest request) {
        String vm = request.vmLabel().orElseThrow();
        return VM_NAME.matcher(vm).matches()
                ? Optional.empty()
                : Optional.of(Denial.invalid(
                        "Pod %s: '%s' is not the name of a VM. The label %s takes 1 to 63 letters, digits, '-', '_' and '.', a letter or digit at both ends."
                                .formatted(request.name(), vm, Torpor.VM_LABEL)));
    }

    private static Optional<Denial> owner(PodRequest request) {
        return VmPods.controllerOf(request.pod())
                .flatMap(owner -> Controllers.refusal(owner.getKind()).map(why -> refused(request, owner, why)));
    }

    private static Denial refused(PodRequest request, OwnerReference owner, String why) {
        return Denial.forbidden(
                "VM pod %s belongs to %s %s, and %s Use a StatefulSet with replicas: 1 and updateStrategy OnDelete, or a bare pod."
                        .formatted(request.name(), owner.getKind(), owner.getName(), why));
    }

    private static Optional<Denial> restartPolicy(PodRequest request) {
        String policy = request.pod().getSpec().getRestartPolicy();
        return !request.willBeLaunched() || policy == null || "Always".equals(policy)
                ? Optional.empty()
                : Optional.of(Denial.invalid(
                        "VM pod %s has restartPolicy %s. The launcher needs Always: after a crash, a failed restore or a reboot of the node the container starts again, and the agent says how."
                                .formatted(request.name(), policy)));
    }

    private static Optional<Denial> container(PodRequest request) {
        return request.willBeLaunched() && QemuContainer.of(request) instanceof QemuContainer.Unclear(Denial denial)
                ? Optional.of(denial)
                : Optional.empty();
    }

    private static Optional<Denial> command(PodRequest request) {
        if (!request.willBeLaunched() || !(QemuContainer.of(request) instanceof QemuContainer.Found(Container qemu))) {
            return Optional.empty();
        }
        if (qemu.getCommand().isEmpty()) {
            return Optional.of(Denial.invalid(
                    "VM pod %s: container %s names no command, and the image's own cannot be seen from here. Write it down, for example command: [qemu-system-x86_64], for the launcher to start it."
                            .formatted(request.name(), qemu.getName())));
        }
        Optional<Container> other = request.pod().getSpec().getContainers().stream()
                .filter(LauncherWiring::isLaunched)
                .filter(launched -> !launched.getName().equals(qemu.getName()))
                .findFirst();
        return other.map(launched -> Denial.invalid(
                "VM pod %s: the command of container %s begins with the launcher, but %s is to run QEMU. A pod is one VM: start only that container through %s."
                        .formatted(request.name(), launched.getName(), qemu.getName(), LauncherWiring.LAUNCHER)));
    }

    private static Optional<Denial> volume(PodRequest request) {
        return mustInject(request)
                ? request.pod().getSpec().getVolumes().stream()
                        .filter(volume -> Torpor.VOLUME.equals(volume.getName()))
                        .filter(volume -> volume.getEmptyDir() == null)
                        .findFirst()
                        .map(volume -> takenVolume(request, volume))
                : Optional.empty();
    }

    private static Denial takenVolume(PodRequest request, Volume volume) {
        return Denial.invalid(
                "VM pod %s has a volume named %s that is no emptyDir. The launcher needs that name: rename yours."
                        .formatted(request.name(), volume.getName()));
    }

    private static Optional<Denial> mount(PodRequest request) {
        return mustInject(request) && QemuContainer.of(request) instanceof QemuContainer.Found(Container qemu)
                ? qemu.getVolumeMounts().stream()
                        .filter(mount -> LauncherWiring.MOUNT.equals(mount.getMountPath())
                                != Torpor.VOLUME.equals(mount.getName()))
                        .findFirst()
                        .map(mount -> Denial.invalid(
                                "VM pod %s: container %s mounts volume %s at %s. The launcher needs volume %s at %s, and both for itself: mount yours elsewhere."
                                        .formatted(
                                                request.name(),
                                                qemu.getName(),
                                                mount.getName(),
                                                mount.getMountPath(),
                                                Torpor.VOLUME,
                                                LauncherWiring.MOUNT)))
                : Optional.empty();
    }

    private static Optional<Denial> initContainer(PodRequest request) {
        return mustInject(request)
                ? request.pod().getSpec().getInitContainers().stream()
                        .filter(container -> LauncherWiring.INIT_CONTAINER.equals(container.getName()))
                        .filter(container -> !LauncherWiring.mountsTheVolume(container))
                        .findFirst()
                        .map(container -> Denial.invalid(
                                "VM pod %s has an init container named %s that does not mount volume %s. The name is that of the launcher's: rename yours."
                                        .formatted(request.name(), container.getName(), Torpor.VOLUME)))
                : Optional.empty();
    }

    private static boolean mustInject(PodRequest request) {
        return !request.optsOut() && !request.isWired();
    }
}
