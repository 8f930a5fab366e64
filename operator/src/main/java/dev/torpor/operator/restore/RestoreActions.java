package dev.torpor.operator.restore;

import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import dev.torpor.operator.vm.VmPods;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.net.HttpURLConnection;

/** Performs the side effects of the restore controller. */
final class RestoreActions {
    private static final int HTTP_UNPROCESSABLE = 422;

    private final KubernetesClient client;
    private final VmPods pods;

    RestoreActions(KubernetesClient client, VmPods pods) {
        this.client = client;
        this.pods = pods;
    }

    /**
     * Performs an action. Done already is done; any failure but the following is the client's exception, and the step
     * is tried again.
     *
     * @throws TorporException PodRejected if the API server or admission refuses the pod
     */
    void perform(VMRestore seen, RestoreAction action) throws TorporException {
        switch (action) {
            case RestoreAction.Nothing() -> {}
            case RestoreAction.CreatePod(Pod manifest) -> create(manifest);
            case RestoreAction.DeletePod(var pod) ->
                pods.delete(seen.getMetadata().getNamespace(), pod);
        }
    }

    private void create(Pod manifest) throws TorporException {
        try {
            client.pods()
                    .inNamespace(manifest.getMetadata().getNamespace())
                    .resource(manifest)
                    .create();
        } catch (KubernetesClientException e) {
            switch (e.getCode()) {
                // By an earlier step, or somebody else was quicker: the next look tells.
                case HttpURLConnection.HTTP_CONFLICT -> {}
                case HttpURLConnection.HTTP_BAD_REQUEST, HttpURLConnection.HTTP_FORBIDDEN, HTTP_UNPROCESSABLE ->
                    throw new TorporException(
                            FailureReason.PodRejected,
                            "The API server refused pod %s: %s. Remove the cause, then make a new VMRestore. The image is safe."
                                    .formatted(manifest.getMetadata().getName(), reasonOf(e)),
                            e);
                default -> throw e;
            }
        }
    }

    private static String reasonOf(KubernetesClientException e) {
        return e.getStatus() != null && e.getStatus().getMessage() != null
                ? e.getStatus().getMessage()
                : String.valueOf(e.getMessage());
    }
}
