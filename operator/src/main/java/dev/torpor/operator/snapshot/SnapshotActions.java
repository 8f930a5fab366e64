package dev.torpor.operator.snapshot;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMRestoreSpec;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.failure.TorporException;
import dev.torpor.operator.event.EventRecorder;
import dev.torpor.operator.step.Step;
import dev.torpor.operator.step.StepHook;
import dev.torpor.operator.vm.RecordedManifests;
import dev.torpor.operator.vm.VmPods;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import java.net.HttpURLConnection;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Performs the side effects of the snapshot controller. */
final class SnapshotActions {
    private final KubernetesClient client;
    private final VmPods pods;
    private final RecordedManifests manifests;
    private final VolumeSnapshots volumeSnapshots;
    private final EventRecorder events;
    private final StepHook steps;

    SnapshotActions(
            KubernetesClient client,
            VmPods pods,
            RecordedManifests manifests,
            VolumeSnapshots volumeSnapshots,
            EventRecorder events,
            StepHook steps) {
        this.client = client;
        this.pods = pods;
        this.manifests = manifests;
        this.volumeSnapshots = volumeSnapshots;
        this.events = events;
        this.steps = steps;
    }

    /**
     * Performs an action. Done already is done; any failure but the following is the client's exception, and the step is
     * tried again.
     *
     * @throws TorporException PodRejected if the API server or admission refuses the pod; NameTaken if another pod has its name;
     *     VolumeSnapshotFailed if the API server refuses a VolumeSnapshot
     */
    void perform(VMSnapshot seen, SnapshotAction action) throws TorporException {
        switch (action) {
            case SnapshotAction.Nothing() -> {}
            case SnapshotAction.AddFinalizer() -> {
                List<String> all = new ArrayList<>(seen.getMetadata().getFinalizers());
                all.add(Torpor.IMAGE_FINALIZER);
                steps.take(Step.SNAPSHOT_ADD_FINALIZER, () -> setFinalizers(seen, all));
            }
            case SnapshotAction.RemoveFinalizer() -> {
                List<String> rest = new ArrayList<>(seen.getMetadata().getFinalizers());
                rest.remove(Torpor.IMAGE_FINALIZER);
                steps.take(Step.SNAPSHOT_REMOVE_FINALIZER, () -> setFinalizers(seen, rest));
            }
            case SnapshotAction.RecordManifest(var pod) -> manifests.record(seen, pod, steps);
            case SnapshotAction.DeletePod(var pod) ->
                steps.take(
                        Step.SNAPSHOT_DELETE_POD,
                        () -> pods.delete(seen.getMetadata().getNamespace(), pod));
            case SnapshotAction.Discard() ->
                steps.take(
                        Step.SNAPSHOT_DISCARD,
                        () -> patchMetadata(seen, Map.of("annotations", Map.of(Torpor.DISCARD_ANNOTATION, "true"))));
            case SnapshotAction.CreatePod(var manifest) ->
                steps.take(Step.SNAPSHOT_CREATE_POD, () -> pods.create(manifest));
            case SnapshotAction.CutDisks(var create, var delete) -> volumeSnapshots.perform(seen, create, delete);
            case SnapshotAction.TellPod(var pod, var notice) -> events.recordOnce(pod, notice);
            case SnapshotAction.StartRestore(var nodeName, var name) ->
                steps.take(Step.SNAPSHOT_START, () -> startRestore(seen, nodeName, name));
            case SnapshotAction.ForgetRestores(var failedBefore) ->
                failedBefore.forEach(failed -> steps.take(Step.SNAPSHOT_FORGET_START, () -> deleteRestore(failed)));
        }
    }

    private void startRestore(VMSnapshot seen, String nodeName, String name) {
        VMRestore restore = new VMRestore();
        restore.setMetadata(new ObjectMetaBuilder()
                .withNamespace(seen.getMetadata().getNamespace())
                .withName(name)
                .addToAnnotations(StartQueue.NODE_ANNOTATION, nodeName)
                .addNewOwnerReference()
                .withApiVersion(seen.getApiVersion())
                .withKind(seen.getKind())
                .withName(seen.getMetadata().getName())
                .withUid(seen.getMetadata().getUid())
                .withController(true)
                .endOwnerReference()
                .build());
        restore.setSpec(new VMRestoreSpec(seen.getMetadata().getName(), null, null, null, null));
        try {
            client.resource(restore).create();
        } catch (KubernetesClientException e) {
            if (e.getCode() != HttpURLConnection.HTTP_CONFLICT) {
                throw e;
            }
        }
    }

    // Starts of a snapshot are counted anew if somebody deleted all of them: another may have the name.
    private void deleteRestore(VMRestore failed) {
        try {
            var _ = client.resource(failed)
                    .lockResourceVersion(failed.getMetadata().getResourceVersion())
                    .delete();
        } catch (KubernetesClientException e) {
            if (e.getCode() != HttpURLConnection.HTTP_CONFLICT) {
                throw e;
            }
        }
    }

    // The list is replaced whole, so the version that it was read from goes with it.
    private void setFinalizers(VMSnapshot seen, List<String> finalizers) {
        patchMetadata(seen, Map.of("finalizers", finalizers));
    }

    private void patchMetadata(VMSnapshot seen, Map<String, Object> change) {
        Map<String, Object> metadata = new HashMap<>(change);
        metadata.put("resourceVersion", seen.getMetadata().getResourceVersion());
        try {
            client.resources(VMSnapshot.class)
                    .inNamespace(seen.getMetadata().getNamespace())
                    .withName(seen.getMetadata().getName())
                    .patch(
                            PatchContext.of(PatchType.JSON_MERGE),
                            client.getKubernetesSerialization().asJson(Map.of("metadata", metadata)));
        } catch (KubernetesClientException e) {
            if (e.getCode() != HttpURLConnection.HTTP_NOT_FOUND && e.getCode() != HttpURLConnection.HTTP_CONFLICT) {
                throw e;
            }
        }
    }
}
