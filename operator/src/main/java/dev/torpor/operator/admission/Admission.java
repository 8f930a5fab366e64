package dev.torpor.operator.admission;

import io.fabric8.kubernetes.api.model.KubernetesResource;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.javaoperatorsdk.webhook.admission.AdmissionController;
import java.util.Map;

/** All that API servers ask, by path. */
public final class Admission {
    private Admission() {}

    /**
     * Returns who answers at which path. All of them only read, and may be asked by several threads.
     *
     * @param systemNamespace the operator's own, which is exempt
     */
    public static Map<String, AdmissionController<KubernetesResource>> controllers(
            KubernetesClient client, String systemNamespace, InjectionSettings settings) {
        Scope scope = new Scope(systemNamespace);
        LiveReads reads = new LiveReads(client);
        return Map.of(
                "/mutate-pods", new AdmissionController<>(new PodMutation(scope, settings, reads)),
                "/validate-pods", new AdmissionController<>(new PodValidation(scope, reads)),
                "/validate-workloads", new AdmissionController<>(new WorkloadValidation(scope)));
    }
}
