package dev.torpor.operator.admission;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.operator.vm.LauncherWiring;
import dev.torpor.operator.vm.VmName;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.admission.v1.AdmissionRequest;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;

/**
 * A pod as somebody wants to have it.
 *
 * @param namespace where; a pod that is being created may not say it itself
 * @param pod the pod to be
 * @param before the pod that is changed; empty if it is created
 */
record PodRequest(String namespace, Pod pod, Optional<Pod> before) {
    static PodRequest of(AdmissionRequest request) {
        return new PodRequest(
                Objects.requireNonNullElse(request.getNamespace(), ""),
                (Pod) request.getObject(),
                Optional.ofNullable((Pod) request.getOldObject()));
    }

    /** Returns the value of the label that makes the pod a VM's. */
    Optional<String> vmLabel() {
        return vmLabel(pod);
    }

    /** Returns the value that the label had before a change. */
    Optional<String> labelBefore() {
        return before.flatMap(PodRequest::vmLabel);
    }

    private static Optional<String> vmLabel(Pod pod) {
        return Optional.ofNullable(pod.getMetadata().getLabels()).map(labels -> labels.get(Torpor.VM_LABEL));
    }

    VmName vm() {
        return new VmName(namespace, vmLabel().orElseThrow());
    }

    /** Returns whether the author does without the launcher, or wires it by hand. */
    boolean optsOut() {
        return "false".equals(annotations().get(Torpor.INJECT_ANNOTATION));
    }

    /** Returns whether the launcher is in place, by whomever. */
    boolean isWired() {
        return LauncherWiring.lacks(pod).isEmpty();
    }

    /** Returns whether this pod is started by the launcher once we are done with it. */
    boolean willBeLaunched() {
        return !optsOut() || isWired();
    }

    Map<String, String> annotations() {
        return Objects.requireNonNullElse(pod.getMetadata().getAnnotations(), Map.of());
    }

    /** Returns the pod's name for people; the API server makes one up for pods that have none yet. */
    String name() {
        String name = pod.getMetadata().getName();
        String prefix = pod.getMetadata().getGenerateName();
        return name != null ? name : prefix != null ? prefix + "…" : "without a name";
    }
}
