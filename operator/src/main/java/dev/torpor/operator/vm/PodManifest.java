package dev.torpor.operator.vm;

import dev.torpor.api.v1alpha1.Torpor;
import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.ObjectMeta;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.PodSpec;
import io.fabric8.kubernetes.api.model.PodSpecBuilder;
import io.fabric8.kubernetes.api.model.Toleration;
import io.fabric8.kubernetes.api.model.Volume;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** A pod's manifest as its author wrote it, as far as it can be told from the pod, and what is made of it for a restore. */
public final class PodManifest {
    /** What the admission plugin DefaultTolerationSeconds adds to every pod. */
    private static final Set<String> DEFAULT_TOLERATIONS =
            Set.of("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable");

    private static final long DEFAULT_TOLERATION_SECONDS = 300;
    /** Name prefix of the token volume that the admission plugin ServiceAccount adds. */
    private static final String TOKEN_VOLUME_PREFIX = "kube-api-access-";

    /**
     * Prefixes of labels and annotations by which tools know what is theirs to prune, and what a backup left behind. A pod that
     * the operator makes is not in their records; with these on it, it would be pruned as often as it is made.
     */
    private static final List<String> TRACKING = List.of(
            "argocd.argoproj.io/",
            "kustomize.toolkit.fluxcd.io/",
            "helm.toolkit.fluxcd.io/",
            "applyset.kubernetes.io/",
            "config.k8s.io/owning-inventory",
            "kapp.k14s.io/",
            "velero.io/",
            "openshift.io/restore-server-version");

    private PodManifest() {}

    /**
     * Returns a pod without what the API server, admission and the scheduler added, so that it can be created again:
     * no identity, status, node, controller, marks of tools that prune, token volumes, computed priority, ephemeral containers or default tolerations.
     */
    public static Pod of(Pod pod) {
        ObjectMeta from = pod.getMetadata();
        return new PodBuilder()
                .withMetadata(new ObjectMetaBuilder()
                        .withName(from.getName())
                        .withNamespace(from.getNamespace())
                        .withLabels(without(from.getLabels(), PodManifest::isTracking))
                        .withAnnotations(without(
                                from.getAnnotations(), key -> key.equals(Torpor.RESTORE_ANNOTATION) || isTracking(key)))
                        .withOwnerReferences(from.getOwnerReferences().stream()
                                .filter(owner -> !Boolean.TRUE.equals(owner.getController()))
                                .toList())
                        .build())
                .withSpec(spec(pod.getSpec()))
                .build();
    }

    /** Returns a recorded manifest as it is created for a restore: marked with the restore, and required to run on the image's node. */
    public static Pod forRestore(Pod recorded, String restoreUid, String nodeName) {
        return new PodBuilder(recorded)
                .editMetadata()
                .addToAnnotations(Torpor.RESTORE_ANNOTATION, restoreUid)
                .endMetadata()
                .editSpec()
                .withAffinity(NodeBinding.require(recorded.getSpec().getAffinity(), nodeName))
                .endSpec()
                .build();
    }

    /**
     * Returns a recorded manifest without our readiness gate. The webhook adds it again to the pod that is made, if agents answer
     * it; where they may not do that any more, such a pod would never be Ready.
     */
    static Pod withoutReadinessGate(Pod recorded) {
        return new PodBuilder(recorded)
                .editSpec()
                .removeMatchingFromReadinessGates(gate -> Torpor.GUEST_RUNNING.equals(gate.getConditionType()))
                .endSpec()
                .build();
    }

    private static PodSpec spec(PodSpec from) {
        Set<String> tokens = from.getVolumes().stream()
                .map(Volume::getName)
                .filter(name -> name.startsWith(TOKEN_VOLUME_PREFIX))
                .collect(Collectors.toSet());
        PodSpec spec = new PodSpecBuilder(from)
                .withNodeName(null)
                .withPriority(null)
                .withPreemptionPolicy(null)
                .withEphemeralContainers(List.of())
                .withSchedulingGates(List.of())
                .withVolumes(from.getVolumes().stream()
                        .filter(volume -> !tokens.contains(volume.getName()))
                        .toList())
                .withTolerations(from.getTolerations().stream()
                        .filter(toleration -> !isDefault(toleration))
                        .toList())
                .build();
        spec.getContainers().forEach(container -> removeMounts(container, tokens));
        spec.getInitContainers().forEach(container -> removeMounts(container, tokens));
        return spec;
    }

    private static void removeMounts(Container container, Set<String> volumes) {
        container.setVolumeMounts(container.getVolumeMounts().stream()
                .filter(mount -> !volumes.contains(mount.getName()))
                .toList());
    }

    private static boolean isDefault(Toleration toleration) {
        return DEFAULT_TOLERATIONS.contains(toleration.getKey())
                && "NoExecute".equals(toleration.getEffect())
                && Long.valueOf(DEFAULT_TOLERATION_SECONDS).equals(toleration.getTolerationSeconds());
    }

    // Not app.kubernetes.io/instance, which Services select by as well.
    private static boolean isTracking(String key) {
        return TRACKING.stream().anyMatch(key::startsWith);
    }

    private static Map<String, String> without(@Nullable Map<String, String> map, Predicate<String> unwanted) {
        Map<String, String> rest = new HashMap<>(map == null ? Map.of() : map);
        rest.keySet().removeIf(unwanted);
        return rest;
    }
}
