package dev.torpor.operator.snapshot;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.operator.vm.RecordedManifests;
import dev.torpor.operator.vm.VmPods;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import java.net.HttpURLConnection;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Performs the side effects of the snapshot controller. */
final class SnapshotActions {
    private final KubernetesClient client;
    private final VmPods pods;
    private final RecordedManifests manifests;

    SnapshotActions(KubernetesClient client, VmPods pods, RecordedManifests manifests) {
        this.client = client;
        this.pods = pods;
        this.manifests = manifests;
    }

    /** Performs an action. Done already is done; a failure is the client's exception, and the step is tried again. */
    void perform(VMSnapshot seen, SnapshotAction action) {
        switch (action) {
            case SnapshotAction.Nothing() -> {}
            case SnapshotAction.AddFinalizer() -> {
                List<String> all = new ArrayList<>(seen.getMetadata().getFinalizers());
                all.add(Torpor.IMAGE_FINALIZER);
                setFinalizers(seen, all);
            }
            case SnapshotAction.RemoveFinalizer() -> {
                List<String> rest = new ArrayList<>(seen.getMetadata().getFinalizers());
                rest.remove(Torpor.IMAGE_FINALIZER);
                setFinalizers(seen, rest);
            }
            case SnapshotAction.RecordManifest(var pod) -> manifests.record(seen, pod);
            case SnapshotAction.DeletePod(var pod) ->
                pods.delete(seen.getMetadata().getNamespace(), pod);
        }
    }

    // The list is replaced whole, so the version that it was read from goes with it.
    private void setFinalizers(VMSnapshot seen, List<String> finalizers) {
        String patch = client.getKubernetesSerialization()
                .asJson(Map.of(
                        "metadata",
                        Map.of("resourceVersion", seen.getMetadata().getResourceVersion(), "finalizers", finalizers)));
        try {
            client.resources(VMSnapshot.class)
                    .inNamespace(seen.getMetadata().getNamespace())
                    .withName(seen.getMetadata().getName())
                    .patch(PatchContext.of(PatchType.JSON_MERGE), patch);
        } catch (KubernetesClientException e) {
            if (e.getCode() != HttpURLConnection.HTTP_NOT_FOUND && e.getCode() != HttpURLConnection.HTTP_CONFLICT) {
                throw e;
            }
        }
    }
}
