package dev.torpor.operator.admission;

import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.admission.v1.AdmissionRequest;
import java.util.Optional;
import java.util.Set;

/**
 * Which objects we have a say in. Webhook configurations say the same; but a mistake there must neither touch pods of
 * others nor keep our own pods, or those that the cluster stands on, from starting.
 */
record Scope(String systemNamespace) {
    private static final String CLUSTER_NAMESPACE = "kube-system";

    /** Returns the request if its namespace is not exempt. */
    boolean covers(AdmissionRequest request) {
        return !Set.of(systemNamespace, CLUSTER_NAMESPACE).contains(request.getNamespace());
    }

    /** Returns the request if it is about a pod that carries our label, or did. */
    Optional<PodRequest> vmPod(AdmissionRequest request) {
        if (!covers(request) || !(request.getObject() instanceof Pod)) {
            return Optional.empty();
        }
        PodRequest pod = PodRequest.of(request);
        return Optional.of(pod)
                .filter(asked ->
                        asked.vmLabel().isPresent() || asked.labelBefore().isPresent());
    }
}
