package dev.torpor.operator.restore;

import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.failure.TorporException;
import dev.torpor.operator.step.Step;
import dev.torpor.operator.step.StepHook;
import dev.torpor.operator.vm.PodGate;
import dev.torpor.operator.vm.VmPods;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.util.Objects;

/** Performs the side effects of the restore controller. */
final class RestoreActions {
    private final KubernetesClient client;
    private final VmPods pods;
    private final StepHook steps;

    RestoreActions(KubernetesClient client, VmPods pods, StepHook steps) {
        this.client = client;
        this.pods = pods;
        this.steps = steps;
    }

    /**
     * Performs an action. Done already is done; any failure but the following is the client's exception, and the step
     * is tried again.
     *
     * @throws TorporException PodRejected if the API server or admission refuses the pod; NameTaken if another pod has its name
     */
    void perform(VMRestore seen, RestoreAction action) throws TorporException {
        switch (action) {
            case RestoreAction.Nothing() -> {}
            case RestoreAction.CreatePod(Pod manifest) ->
                steps.take(Step.RESTORE_CREATE_POD, () -> pods.create(manifest));
            case RestoreAction.GivePod(Pod pod) ->
                steps.take(Step.RESTORE_GIVE_POD, () -> new PodGate(client)
                        .give(
                                pod,
                                seen.getMetadata().getUid(),
                                Objects.requireNonNull(seen.getStatus().getNodeName(), "it was bound")));
            case RestoreAction.DeletePod(var pod) ->
                steps.take(
                        Step.RESTORE_DELETE_POD,
                        () -> pods.delete(seen.getMetadata().getNamespace(), pod));
        }
    }
}
