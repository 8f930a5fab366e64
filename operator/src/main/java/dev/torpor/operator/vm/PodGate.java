package dev.torpor.operator.vm;

import dev.torpor.api.v1alpha1.Torpor;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.PodSchedulingGate;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import java.net.HttpURLConnection;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The scheduling gate that holds a VM's pod while a managed image of the VM waits. It comes off by a JSON patch that tests
 * what it changes: a server-side apply of another field manager would do nothing and report success.
 */
public final class PodGate {
    private static final int UNPROCESSABLE = 422;

    private final KubernetesClient client;

    public PodGate(KubernetesClient client) {
        this.client = client;
    }

    /** Returns whether a pod is held by the gate. */
    public static boolean holds(Pod pod) {
        return index(pod).isPresent();
    }

    /** Returns a pod that is about to be created as it is held for its image's node. */
    public static Pod hold(Pod pod, String nodeName) {
        PodBuilder bound = new PodBuilder(pod)
                .editSpec()
                .withAffinity(NodeBinding.require(pod.getSpec().getAffinity(), nodeName))
                .endSpec();
        return holds(pod)
                ? bound.build()
                : bound.editSpec()
                        .addNewSchedulingGate(Torpor.SAVED_GATE)
                        .endSpec()
                        .build();
    }

    /**
     * Gives a pod to a restore: marks it, and takes the gate off if there is one. A pod that changed meanwhile is left as
     * it is; the next look tells.
     *
     * @param nodeName of the image: a pod that is held and free to go to any node, as one that was made by hand, is bound to it. The
     *     API server allows that while a gate is there (KEP-3838)
     */
    public void give(Pod pod, String restoreUid, String nodeName) {
        List<Map<String, Object>> patch = new ArrayList<>(ungate(pod));
        if (holds(pod) && NodeBinding.isFree(pod.getSpec().getAffinity())) {
            patch.add(Map.of(
                    "op",
                    "add",
                    "path",
                    "/spec/affinity",
                    "value",
                    NodeBinding.require(pod.getSpec().getAffinity(), nodeName)));
        }
        Map<String, String> annotations = new HashMap<>(
                Optional.ofNullable(pod.getMetadata().getAnnotations()).orElse(Map.of()));
        if (annotations.isEmpty()) {
            patch.add(Map.of(
                    "op",
                    "add",
                    "path",
                    "/metadata/annotations",
                    "value",
                    Map.of(Torpor.RESTORE_ANNOTATION, restoreUid)));
        } else {
            patch.add(Map.of(
                    "op",
                    "add",
                    "path",
                    "/metadata/annotations/" + Torpor.RESTORE_ANNOTATION.replace("/", "~1"),
                    "value",
                    restoreUid));
        }
        apply(pod, patch);
    }

    /** Takes the gate off: no image waits for the pod any more. */
    public void open(Pod pod) {
        if (holds(pod)) {
            apply(pod, ungate(pod));
        }
    }

    private static List<Map<String, Object>> ungate(Pod pod) {
        List<Map<String, Object>> patch = new ArrayList<>();
        patch.add(Map.of(
                "op",
                "test",
                "path",
                "/metadata/uid",
                "value",
                pod.getMetadata().getUid()));
        index(pod).ifPresent(index -> {
            String path = "/spec/schedulingGates/" + index;
            patch.add(Map.of("op", "test", "path", path + "/name", "value", Torpor.SAVED_GATE));
            patch.add(Map.of("op", "remove", "path", path));
        });
        return patch;
    }

    private void apply(Pod pod, List<Map<String, Object>> patch) {
        try {
            client.pods()
                    .inNamespace(pod.getMetadata().getNamespace())
                    .withName(pod.getMetadata().getName())
                    .patch(
                            PatchContext.of(PatchType.JSON),
                            client.getKubernetesSerialization().asJson(patch));
        } catch (KubernetesClientException e) {
            if (e.getCode() != HttpURLConnection.HTTP_NOT_FOUND
                    && e.getCode() != HttpURLConnection.HTTP_CONFLICT
                    && e.getCode() != UNPROCESSABLE) {
                throw e;
            }
        }
    }

    private static Optional<Integer> index(Pod pod) {
        List<PodSchedulingGate> gates = pod.getSpec().getSchedulingGates();
        for (int i = 0; gates != null && i < gates.size(); i++) {
            if (Torpor.SAVED_GATE.equals(gates.get(i).getName())) {
                return Optional.of(i);
            }
        }
        return Optional.empty();
    }
}
