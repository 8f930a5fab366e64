package dev.torpor.operator.vm;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.torpor.api.v1alpha1.Torpor;
import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.Volume;
import io.fabric8.kubernetes.api.model.VolumeMount;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;

/**
 * What of a pod makes its VM what it is: QEMU's container and the volumes that it sees. Memory that was saved in one VM does
 * not fit another, and the guest would lose it in the try; so a pod is compared before it starts.
 */
final class PodDefinition {
    private static final ObjectMapper JSON = JsonMapper.builder().build();
    private static final List<String> CONTAINER_FIELDS =
            List.of("image", "command", "args", "env", "envFrom", "resources", "volumeDevices", "securityContext");
    /** Ours; how they are wired may change from one release to the next. */
    private static final Set<String> OWN_VOLUMES = Set.of(Torpor.VOLUME, "torpor-images");

    private PodDefinition() {}

    /** Returns in which parts two manifests of one VM differ, in words of the pod's spec; both as {@link PodManifest#of} makes them. */
    static List<String> differences(Pod saved, Pod next) {
        Map<String, JsonNode> before = parts(saved);
        Map<String, JsonNode> after = parts(next);
        List<String> differences = new ArrayList<>();
        before.forEach((part, value) -> {
            if (!Objects.equals(value, after.get(part))) {
                differences.add(part);
            }
        });
        return differences;
    }

    private static Map<String, JsonNode> parts(Pod pod) {
        Map<String, JsonNode> parts = new LinkedHashMap<>();
        Container qemu = pod.getSpec().getContainers().stream()
                .filter(LauncherWiring::isLaunched)
                .findFirst()
                .orElseGet(() -> pod.getSpec().getContainers().getFirst());
        ObjectNode container = JSON.valueToTree(qemu);
        for (String field : CONTAINER_FIELDS) {
            JsonNode value = container.path(field);
            // Absent and empty say the same.
            parts.put(field, value.isEmpty() && !value.isTextual() ? JSON.nullNode() : value);
        }
        Map<String, VolumeMount> mounts = new TreeMap<>();
        qemu.getVolumeMounts().stream()
                .filter(mount -> !OWN_VOLUMES.contains(mount.getName()))
                .forEach(mount -> mounts.put(mount.getMountPath(), mount));
        parts.put("volumeMounts", JSON.valueToTree(mounts));
        Map<String, Volume> volumes = new TreeMap<>();
        pod.getSpec().getVolumes().stream()
                .filter(volume -> !OWN_VOLUMES.contains(volume.getName()))
                .forEach(volume -> volumes.put(volume.getName(), volume));
        parts.put("volumes", JSON.valueToTree(volumes));
        return parts;
    }
}
