package dev.torpor.agent.node;

import dev.torpor.agent.image.VmDisks.Claim;
import dev.torpor.agent.linux.Access;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.linux.FileFacts;
import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodSpec;
import io.fabric8.kubernetes.api.model.Volume;
import io.fabric8.kubernetes.api.model.VolumeMount;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * Files on the PersistentVolumeClaims and emptyDirs of VMs' pods, as the kubelet has mounted these on the node: what stat(2) tells of a disk,
 * without a look into the pod's processes, which would take rights over all processes of the node. No link is followed, no
 * other mount is entered, nothing is opened but to be named. Thread-safe.
 *
 * <p>Volumes that the kubelet does not mount itself are not seen: hostPath ones are bound into the container from where they are.
 */
public final class PodVolumes {
    // What the kubelet makes itself (pkg/volume of Kubernetes 1.34); all others are of PersistentVolumes.
    private static final String EMPTY_DIR = "kubernetes.io~empty-dir";
    private static final Set<String> NOT_OF_CLAIMS = Set.of(
            EMPTY_DIR,
            "kubernetes.io~configmap",
            "kubernetes.io~secret",
            "kubernetes.io~projected",
            "kubernetes.io~downward-api",
            "kubernetes.io~git-repo");
    private static final String CSI = "kubernetes.io~csi";
    private static final String CSI_MOUNT = "mount";
    private static final int DIRECTORIES_MAX = 256;
    private static final int DEPTH_MAX = 32;
    private static final long PATIENCE_NANOS = TimeUnit.SECONDS.toNanos(10);

    private final PodDirectories pods;
    private final Map<String, List<Mount>> mounts = new HashMap<>();

    /** What a container sees somewhere. */
    private sealed interface Source {
        record Claim(String name) implements Source {}

        record EmptyDir(String volume) implements Source {}
    }

    /**
     * Where it sees it.
     *
     * @param path in the container, its names
     * @param subPath in the volume, its names; empty if the container sees all of it
     */
    private record Mount(Source source, List<String> path, List<String> subPath) {
        /** Returns where a file of the container lies in the volume; empty if it is not on this mount. */
        Optional<List<String>> inVolume(List<String> file) {
            return file.size() >= path.size() && file.subList(0, path.size()).equals(path)
                    ? Optional.of(Stream.concat(subPath.stream(), file.subList(path.size(), file.size()).stream())
                            .toList())
                    : Optional.empty();
        }
    }

    /**
     * A volume's directory.
     *
     * @param kind the kubelet's directory for volumes of a plugin
     * @param name the PersistentVolume's
     */
    private record VolumeDirectory(String kind, String name) {}

    /** Takes note of no pod yet. */
    public PodVolumes(PodDirectories pods) {
        this.pods = pods;
    }

    /** A VM's pod of this node; where its claims are mounted never changes. */
    public void seen(Pod pod) {
        synchronized (mounts) {
            mounts.computeIfAbsent(pod.getMetadata().getUid(), _ -> mounts(pod.getSpec()));
            mounts.notifyAll();
        }
    }

    /** Forgets a pod. */
    public void gone(String podUID) {
        synchronized (mounts) {
            mounts.remove(podUID);
        }
    }

    // An agent that has just begun may be at work on a pod that it has not yet heard of.
    private List<Mount> awaitMounts(String podUID) {
        long end = System.nanoTime() + PATIENCE_NANOS;
        synchronized (mounts) {
            while (!mounts.containsKey(podUID) && System.nanoTime() < end) {
                try {
                    TimeUnit.NANOSECONDS.timedWait(mounts, end - System.nanoTime());
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                    break;
                }
            }
            return mounts.getOrDefault(podUID, List.of());
        }
    }

    private static List<Mount> mounts(PodSpec spec) {
        Map<String, Source> sources = new HashMap<>();
        for (Volume volume : Objects.requireNonNullElse(spec.getVolumes(), List.<Volume>of())) {
            if (volume.getPersistentVolumeClaim() != null) {
                String claim = volume.getPersistentVolumeClaim().getClaimName();
                sources.put(volume.getName(), new Source.Claim(claim));
            } else if (volume.getEmptyDir() != null) {
                sources.put(volume.getName(), new Source.EmptyDir(volume.getName()));
            }
        }
        List<Mount> mounts = new ArrayList<>();
        for (Container container : spec.getContainers()) {
            for (VolumeMount mount : Objects.requireNonNullElse(container.getVolumeMounts(), List.<VolumeMount>of())) {
                Source source = sources.get(mount.getName());
                // A subPathExpr is known to the kubelet alone.
                if (source != null && mount.getSubPathExpr() == null) {
                    mounts.add(new Mount(
                            source,
                            names(mount.getMountPath()),
                            names(Objects.requireNonNullElse(mount.getSubPath(), ""))));
                }
            }
        }
        return List.copyOf(mounts);
    }

    private static List<String> names(String path) {
        return Arrays.stream(path.split("/", -1))
                .filter(name -> !name.isEmpty() && !name.equals("."))
                .toList();
    }

    /**
     * Finds a file of a pod's container.
     *
     * @param claims of the pod; which volume belongs to one that was provisioned for it, its UID tells
     * @param file its path in the container
     * @return empty if it is on no such volume, or is not to be found there, or on which volume it is cannot be told
     */
    public Optional<FileFacts> find(String podUID, List<Claim> claims, String file) {
        List<String> names = names(file);
        if (!file.startsWith("/") || names.contains("..") || names.size() > DEPTH_MAX) {
            return Optional.empty();
        }
        List<FileFacts> found = new ArrayList<>();
        try (Directory volumes = pods.volumes(podUID)) {
            List<VolumeDirectory> directories = directories(volumes);
            for (Mount mount : awaitMounts(podUID)) {
                Optional<List<String>> inVolume = mount.inVolume(names);
                if (inVolume.isPresent() && !inVolume.get().isEmpty()) {
                    for (VolumeDirectory directory : of(mount.source(), directories, claims)) {
                        facts(volumes, directory, inVolume.get()).ifPresent(found::add);
                    }
                }
            }
        } catch (IOException e) {
            return Optional.empty(); // the pod is gone
        }
        // Two containers may mount the same claim.
        List<FileFacts> different = found.stream().distinct().toList();
        return different.size() == 1 ? Optional.of(different.getFirst()) : Optional.empty();
    }

    private static List<VolumeDirectory> of(Source source, List<VolumeDirectory> all, List<Claim> claims) {
        return switch (source) {
            case Source.EmptyDir(String volume) -> List.of(new VolumeDirectory(EMPTY_DIR, volume));
            case Source.Claim(String name) -> ofClaim(all, claims, name);
        };
    }

    /** A volume that was provisioned for a claim has its UID in its name (external-provisioner, its default). */
    private static List<VolumeDirectory> ofClaim(List<VolumeDirectory> all, List<Claim> claims, String claim) {
        return claims.stream()
                .filter(its -> its.name().equals(claim))
                .flatMap(its -> all.stream().filter(volume -> volume.name().equals("pvc-" + its.uid())))
                .findFirst()
                .map(List::of)
                .orElse(all);
    }

    private static List<VolumeDirectory> directories(Directory volumes) throws IOException {
        List<VolumeDirectory> all = new ArrayList<>();
        for (String kind : volumes.list(DIRECTORIES_MAX)) {
            if (!NOT_OF_CLAIMS.contains(kind)) {
                try (Directory directory = volumes.child(kind)) {
                    directory.list(DIRECTORIES_MAX).forEach(name -> all.add(new VolumeDirectory(kind, name)));
                }
            }
        }
        return all;
    }

    private static Optional<FileFacts> facts(Directory volumes, VolumeDirectory volume, List<String> path) {
        try (Directory kind = volumes.child(volume.kind())) {
            if (volume.kind().equals(CSI)) {
                try (Directory directory = kind.child(volume.name());
                        Directory root = directory.childOrMount(CSI_MOUNT)) {
                    return facts(root, path);
                }
            }
            try (Directory root = kind.childOrMount(volume.name())) {
                return facts(root, path);
            }
        } catch (IOException e) {
            return Optional.empty(); // another volume, which has no such file; or a link
        }
    }

    private static Optional<FileFacts> facts(Directory directory, List<String> path) throws IOException {
        if (path.size() > 1) {
            try (Directory next = directory.child(path.getFirst())) {
                return facts(next, path.subList(1, path.size()));
            }
        }
        try (Descriptor file = directory.openFile(path.getFirst(), Access.NAME_ONLY)) {
            return Optional.of(file.facts()).filter(FileFacts::isRegularFile);
        }
    }
}
