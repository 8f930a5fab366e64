package dev.torpor.operator.admission;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.operator.vm.LauncherWiring;
import dev.torpor.operator.vm.VmName;
import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.ContainerBuilder;
import io.fabric8.kubernetes.api.model.Lifecycle;
import io.fabric8.kubernetes.api.model.LifecycleBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.PodReadinessGate;
import io.fabric8.kubernetes.api.model.PodSecurityContext;
import io.fabric8.kubernetes.api.model.PodSpec;
import io.fabric8.kubernetes.api.model.Quantity;
import io.fabric8.kubernetes.api.model.SecurityContext;
import io.fabric8.kubernetes.api.model.Toleration;
import io.fabric8.kubernetes.api.model.TolerationBuilder;
import io.fabric8.kubernetes.api.model.Volume;
import io.fabric8.kubernetes.api.model.VolumeBuilder;
import io.fabric8.kubernetes.api.model.VolumeMount;
import io.fabric8.kubernetes.api.model.VolumeMountBuilder;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Wires the launcher into a pod, as {@link LauncherWiring} wants it. What is there already stays; a pod that is wired
 * stays as it is altogether, so doing it twice changes nothing.
 */
final class LauncherInjection {
    private static final String IMAGES_VOLUME = "torpor-images";
    private static final String IMAGES_MOUNT = "/run/torpor-images";
    /** Any user may read and run what the init container leaves behind; this one is root nowhere. */
    private static final long NOBODY_SPECIAL = 65532;
    // Requests equal limits, so that a pod whose QoS class is Guaranteed keeps it, and with it its own CPUs.
    private static final Map<String, Quantity> RESOURCES =
            Map.of("cpu", new Quantity("100m"), "memory", new Quantity("32Mi"));
    private static final List<String> AWAY_TAINTS =
            List.of("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable");
    private static final String NO_EXECUTE = "NoExecute";
    /** What the admission plugin DefaultTolerationSeconds gives every pod, before we see it. */
    private static final Long DEFAULT_TOLERATION_SECONDS = 300L;
    /** What the API server gives every pod without one, before we see it. */
    private static final Long DEFAULT_GRACE_SECONDS = 30L;
    /** A disk that several VMs share. */
    private static final long SLOW_DISK_BYTES_PER_SECOND = 256L << 20;

    private final InjectionSettings settings;

    LauncherInjection(InjectionSettings settings) {
        this.settings = settings;
    }

    /** Returns whether the pod would get a part of the node's image store if its namespace allows that. */
    boolean wantsImages(PodRequest request) {
        return settings.imageFolder().isPresent() && mustInject(request);
    }

    /**
     * Returns the pod with the launcher.
     *
     * @param hostPathAllowed whether the namespace lets pods mount folders of their node
     * @return the same pod if there is nothing to add; never for a pod that {@link PodRules} refuses
     */
    Pod inject(PodRequest request, boolean hostPathAllowed) {
        if (!mustInject(request) || !(QemuContainer.of(request) instanceof QemuContainer.Found(Container qemu))) {
            return request.pod();
        }
        Optional<String> images = hostPathAllowed
                ? settings.imageFolder().map(folder -> folderOf(folder, request.vm()))
                : Optional.empty();
        PodSpec spec = request.pod().getSpec();
        return new PodBuilder(request.pod())
                .editSpec()
                .withVolumes(volumes(spec, images))
                .withInitContainers(initContainers(spec, qemu))
                .withContainers(spec.getContainers().stream()
                        .map(container -> container.getName().equals(qemu.getName())
                                ? launched(container, images.isPresent())
                                : container)
                        .toList())
                .withTolerations(tolerations(spec.getTolerations()))
                .withTerminationGracePeriodSeconds(grace(spec, qemu))
                .withReadinessGates(readinessGates(request))
                .endSpec()
                .build();
    }

    private static boolean mustInject(PodRequest request) {
        return !request.optsOut() && !request.isWired();
    }

    /** The agent's store keeps the images of a VM in a folder of its own: namespace, then name. */
    private static String folderOf(String store, VmName vm) {
        return store + "/" + vm.namespace() + "/" + vm.name();
    }

    private static List<Volume> volumes(PodSpec spec, Optional<String> images) {
        List<Volume> volumes = new ArrayList<>(spec.getVolumes());
        if (!has(volumes, Volume::getName, Torpor.VOLUME)) {
            volumes.add(new VolumeBuilder()
                    .withName(Torpor.VOLUME)
                    .withNewEmptyDir()
                    .endEmptyDir()
                    .build());
        }
        if (images.isPresent() && !has(volumes, Volume::getName, IMAGES_VOLUME)) {
            // A VM that was never saved has no folder yet, and must start all the same.
            volumes.add(new VolumeBuilder()
                    .withName(IMAGES_VOLUME)
                    .withNewHostPath()
                    .withPath(images.get())
                    .withType("DirectoryOrCreate")
                    .endHostPath()
                    .build());
        }
        return volumes;
    }

    private List<Container> initContainers(PodSpec spec, Container qemu) {
        if (spec.getInitContainers().stream().anyMatch(LauncherWiring::mountsTheVolume)) {
            return spec.getInitContainers();
        }
        return Stream.concat(Stream.of(launcher(spec, qemu)), spec.getInitContainers().stream())
                .toList();
    }

    // Good enough for a namespace that enforces the Pod Security Standard "restricted".
    private Container launcher(PodSpec spec, Container qemu) {
        return new ContainerBuilder()
                .withName(LauncherWiring.INIT_CONTAINER)
                .withImage(settings.launcherImage())
                .withNewResources()
                .withRequests(RESOURCES)
                .withLimits(RESOURCES)
                .endResources()
                .withNewSecurityContext()
                .withAllowPrivilegeEscalation(false)
                .withReadOnlyRootFilesystem(true)
                .withRunAsNonRoot(true)
                .withRunAsUser(userOf(spec, qemu))
                .withNewCapabilities()
                .withDrop("ALL")
                .endCapabilities()
                .withNewSeccompProfile()
                .withType("RuntimeDefault")
                .endSeccompProfile()
                .endSecurityContext()
                .addToVolumeMounts(mount())
                .build();
    }

    private static long userOf(PodSpec spec, Container qemu) {
        return Optional.ofNullable(qemu.getSecurityContext())
                .map(SecurityContext::getRunAsUser)
                .or(() -> Optional.ofNullable(spec.getSecurityContext()).map(PodSecurityContext::getRunAsUser))
                .filter(user -> user != 0)
                .orElse(NOBODY_SPECIAL);
    }

    private static Container launched(Container qemu, boolean images) {
        List<VolumeMount> mounts = new ArrayList<>(qemu.getVolumeMounts());
        if (!has(mounts, VolumeMount::getName, Torpor.VOLUME)) {
            mounts.add(mount());
        }
        if (images && !has(mounts, VolumeMount::getMountPath, IMAGES_MOUNT)) {
            mounts.add(new VolumeMountBuilder()
                    .withName(IMAGES_VOLUME)
                    .withMountPath(IMAGES_MOUNT)
                    .withReadOnly(true)
                    .build());
        }
        return new ContainerBuilder(qemu)
                .withCommand(LauncherWiring.isLaunched(qemu) ? qemu.getCommand() : launchedCommand(qemu.getCommand()))
                .withVolumeMounts(mounts)
                .withLifecycle(stopping(qemu.getLifecycle()))
                .build();
    }

    // One hook of the author's own stays: a container has only one.
    private static Lifecycle stopping(@Nullable Lifecycle own) {
        return own != null && own.getPreStop() != null
                ? own
                : new LifecycleBuilder(own == null ? new Lifecycle() : own)
                        .withNewPreStop()
                        .withNewExec()
                        .withCommand(LauncherWiring.LAUNCHER, "--stop")
                        .endExec()
                        .endPreStop()
                        .build();
    }

    /** Long enough to save the VM in, where the author left it at the default. */
    private static Long grace(PodSpec spec, Container qemu) {
        Long own = Objects.requireNonNullElse(spec.getTerminationGracePeriodSeconds(), DEFAULT_GRACE_SECONDS);
        return DEFAULT_GRACE_SECONDS.equals(own)
                ? DEFAULT_GRACE_SECONDS + new QemuArguments(qemu).memoryBytes().orElse(0L) / SLOW_DISK_BYTES_PER_SECOND
                : own;
    }

    private static List<String> launchedCommand(List<String> command) {
        return Stream.concat(Stream.of(LauncherWiring.LAUNCHER, "--"), command.stream())
                .toList();
    }

    private static VolumeMount mount() {
        return new VolumeMountBuilder()
                .withName(Torpor.VOLUME)
                .withMountPath(LauncherWiring.MOUNT)
                .build();
    }

    /** A kubelet that is silent for five minutes must not cost the VM: its QEMU goes on running meanwhile. */
    private static List<Toleration> tolerations(List<Toleration> before) {
        List<Toleration> tolerations = new ArrayList<>(before);
        for (String taint : AWAY_TAINTS) {
            tolerations.removeIf(toleration -> taint.equals(toleration.getKey())
                    && NO_EXECUTE.equals(toleration.getEffect())
                    && DEFAULT_TOLERATION_SECONDS.equals(toleration.getTolerationSeconds()));
            // What is left is the author's own.
            if (!has(tolerations, Toleration::getKey, taint)) {
                tolerations.add(new TolerationBuilder()
                        .withKey(taint)
                        .withOperator("Exists")
                        .withEffect(NO_EXECUTE)
                        .build());
            }
        }
        return tolerations;
    }

    // Gates cannot be changed once a pod exists: one that has ours keeps it, and one that does not never gets it.
    private List<PodReadinessGate> readinessGates(PodRequest request) {
        List<PodReadinessGate> gates = new ArrayList<>(request.pod().getSpec().getReadinessGates());
        boolean wanted = request.before()
                .map(before -> has(
                        before.getSpec().getReadinessGates(), PodReadinessGate::getConditionType, Torpor.GUEST_RUNNING))
                .orElse(settings.readinessGate());
        if (wanted && !has(gates, PodReadinessGate::getConditionType, Torpor.GUEST_RUNNING)) {
            gates.add(new PodReadinessGate(Torpor.GUEST_RUNNING));
        }
        return gates;
    }

    private static <T> boolean has(List<T> list, Function<T, String> name, String wanted) {
        return list.stream().anyMatch(each -> wanted.equals(name.apply(each)));
    }
}
