package dev.torpor.operator.gate;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.operator.event.EventReason;
import dev.torpor.operator.event.EventRecorder;
import dev.torpor.operator.event.Notice;
import dev.torpor.operator.step.Step;
import dev.torpor.operator.step.StepHook;
import dev.torpor.operator.vm.ManagedImages;
import dev.torpor.operator.vm.PodGate;
import dev.torpor.operator.vm.VmName;
import dev.torpor.operator.vm.VmPods;
import dev.torpor.operator.vm.Wakeups;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.javaoperatorsdk.operator.api.config.informer.Informer;
import io.javaoperatorsdk.operator.api.reconciler.Context;
import io.javaoperatorsdk.operator.api.reconciler.ControllerConfiguration;
import io.javaoperatorsdk.operator.api.reconciler.EventSourceContext;
import io.javaoperatorsdk.operator.api.reconciler.Reconciler;
import io.javaoperatorsdk.operator.api.reconciler.UpdateControl;
import io.javaoperatorsdk.operator.processing.event.source.EventSource;
import java.time.Duration;
import java.util.List;

/**
 * Sees to pods that are held although no managed image waits for their VM any more: it was discarded, or the VM went on in
 * another pod. A controller's pod is deleted, as the next one is neither held nor bound to the image's node; a bare one is
 * let go where it is.
 */
@ControllerConfiguration(name = "vmpod", informer = @Informer(labelSelector = Torpor.VM_LABEL))
public final class GateReconciler implements Reconciler<Pod> {
    /** Of a pod that is held: an event of its snapshot may have been missed. */
    private static final Duration LOOK_AGAIN = Duration.ofMinutes(1);

    private final KubernetesClient client;
    private final EventRecorder events;
    private final VmPods pods;
    private final PodGate gate;
    private final ManagedImages managed;
    private final StepHook steps;

    /**
     * @param steps hears of each step
     */
    public GateReconciler(KubernetesClient client, EventRecorder events, StepHook steps) {
        this.client = client;
        this.events = events;
        this.pods = new VmPods(client);
        this.gate = new PodGate(client);
        this.managed = new ManagedImages(client);
        this.steps = steps;
    }

    @Override
    public UpdateControl<Pod> reconcile(Pod woken, Context<Pod> context) {
        UpdateControl<Pod> done = UpdateControl.noUpdate();
        return step(woken.getMetadata().getNamespace(), woken.getMetadata().getName())
                ? done.rescheduleAfter(LOOK_AGAIN)
                : done;
    }

    /** Does one step, and returns whether the pod is held. */
    boolean step(String namespace, String name) {
        Pod pod = client.pods().inNamespace(namespace).withName(name).get();
        if (pod == null || VmPods.isTerminating(pod) || !PodGate.holds(pod)) {
            return false;
        }
        VmName vm = new VmName(namespace, pod.getMetadata().getLabels().getOrDefault(Torpor.VM_LABEL, ""));
        // Read after the pod, so that an image which was there when the pod was held is seen if it still waits.
        if (managed.holding(vm).isPresent()) {
            return true;
        }
        if (VmPods.controllerOf(pod).isPresent()) {
            tell(
                    pod,
                    "No image waits for VM %s any more. The pod is deleted, for its controller to make one that is free to boot on any node.");
            steps.take(Step.GATE_DELETE_POD, () -> pods.delete(namespace, VmPods.nameOf(pod)));
        } else {
            tell(pod, "No image waits for VM %s any more. The pod is let go, and boots.");
            steps.take(Step.GATE_OPEN, () -> gate.open(pod));
        }
        return false;
    }

    private void tell(Pod pod, String message) {
        events.recordOnce(
                pod,
                new Notice(
                        EventReason.Released,
                        message.formatted(pod.getMetadata().getLabels().get(Torpor.VM_LABEL))));
    }

    @Override
    public List<EventSource<?, Pod>> prepareEventSources(EventSourceContext<Pod> context) {
        return Wakeups.of(
                context,
                pod -> List.of("vm:" + pod.getMetadata().getLabels().getOrDefault(Torpor.VM_LABEL, "")),
                Wakeups.others(
                        VMSnapshot.class,
                        snapshot -> List.of("vm:" + snapshot.getSpec().vmName())));
    }
}
