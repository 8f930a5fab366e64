package dev.torpor.e2e.standin;

import io.fabric8.kubernetes.api.model.GenericKubernetesResource;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.dsl.base.ResourceDefinitionContext;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.Map;

/** Stands in for a storage's snapshot controller, step by step: what a VolumeSnapshot's status says is what a test says. */
record StandInSnapshotter(KubernetesClient client, String namespace) {
    private static final ResourceDefinitionContext KIND = new ResourceDefinitionContext.Builder()
            .withGroup("snapshot.storage.k8s.io")
            .withVersion("v1")
            .withKind("VolumeSnapshot")
            .withPlural("volumesnapshots")
            .withNamespaced(true)
            .build();

    /** Returns the VolumeSnapshots of a claim. */
    List<GenericKubernetesResource> of(String claim) {
        return client.genericKubernetesResources(KIND).inNamespace(namespace).list().getItems().stream()
                .filter(one -> claim.equals(one.get("spec", "source", "persistentVolumeClaimName")))
                .toList();
    }

    /** Says that it was cut now, and whether it is ready for use. */
    void cut(GenericKubernetesResource snapshot, boolean ready) {
        String now = Instant.now().truncatedTo(ChronoUnit.SECONDS).toString();
        status(snapshot, Map.of("creationTime", now, "readyToUse", ready));
    }

    /** Says that it failed. */
    void fail(GenericKubernetesResource snapshot, String message) {
        status(snapshot, Map.of("readyToUse", false, "error", Map.of("message", message)));
    }

    private void status(GenericKubernetesResource snapshot, Map<String, Object> status) {
        client.genericKubernetesResources(KIND)
                .inNamespace(namespace)
                .withName(snapshot.getMetadata().getName())
                .editStatus(now -> {
                    now.setAdditionalProperty("status", status);
                    return now;
                });
    }
}
