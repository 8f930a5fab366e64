package dev.torpor.operator.drain;

import dev.torpor.api.v1alpha1.OnNodeRemoval;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotClass;
import dev.torpor.operator.event.EventReason;
import dev.torpor.operator.event.EventRecorder;
import dev.torpor.operator.event.Notice;
import dev.torpor.operator.step.Step;
import dev.torpor.operator.step.StepHook;
import dev.torpor.operator.vm.NodeChanges;
import dev.torpor.operator.vm.NodeLeave;
import dev.torpor.operator.vm.VmPods;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.Node;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.javaoperatorsdk.operator.api.config.informer.Informer;
import io.javaoperatorsdk.operator.api.config.informer.InformerEventSourceConfiguration;
import io.javaoperatorsdk.operator.api.reconciler.Context;
import io.javaoperatorsdk.operator.api.reconciler.ControllerConfiguration;
import io.javaoperatorsdk.operator.api.reconciler.EventSourceContext;
import io.javaoperatorsdk.operator.api.reconciler.Reconciler;
import io.javaoperatorsdk.operator.api.reconciler.UpdateControl;
import io.javaoperatorsdk.operator.processing.event.ResourceID;
import io.javaoperatorsdk.operator.processing.event.source.EventSource;
import io.javaoperatorsdk.operator.processing.event.source.informer.InformerEventSource;
import java.time.Duration;
import java.time.InstantSource;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Has the VMs of nodes in maintenance saved, ends the saves of drains that are over, and lets go VMs that cannot be saved
 * where a class says so. Whatever woke it, it decides on what the API server says now.
 */
@ControllerConfiguration(
        name = "drain",
        generationAwareEventProcessing = false,
        informer = @Informer(onUpdateFilter = NodeChanges.class))
public final class NodeReconciler implements Reconciler<Node> {
    private static final Logger LOG = LoggerFactory.getLogger(NodeReconciler.class);
    /** After this a save is asked for again that the API server did not take. */
    private static final Duration REFUSED_INTERVAL = Duration.ofSeconds(30);

    private final KubernetesClient client;
    private final EventRecorder events;
    private final DrainSaves saves;
    private final VmPods pods;
    private final StepHook steps;

    /**
     * @param steps hears of each step
     */
    public NodeReconciler(KubernetesClient client, EventRecorder events, InstantSource clock, StepHook steps) {
        this.client = client;
        this.events = events;
        this.saves = new DrainSaves(client, clock, steps);
        this.pods = new VmPods(client);
        this.steps = steps;
    }

    @Override
    public UpdateControl<Node> reconcile(Node woken, Context<Node> context) {
        // Most nodes have nothing to do with this, most of the time: they cost no request.
        if (NodeLeave.maintenance(woken).isEmpty()
                && context.getSecondaryResources(VMSnapshot.class).isEmpty()) {
            return UpdateControl.noUpdate();
        }
        UpdateControl<Node> done = UpdateControl.noUpdate();
        return step(woken.getMetadata().getName())
                .map(lookAgain -> done.rescheduleAfter(lookAgain.plusMillis(1)))
                .orElse(done);
    }

    /** Does one step, and returns after which time to look again at the latest. */
    Optional<Duration> step(String nodeName) {
        Node node = client.nodes().withName(nodeName).get();
        if (node == null) {
            return Optional.empty();
        }
        List<VMSnapshot> ofNode = saves.ofNode(nodeName);
        List<NodeDecision.Vm> vms =
                ofNode.isEmpty() && NodeLeave.maintenance(node).isEmpty()
                        ? List.of()
                        : runningOn(nodeName).stream()
                                .map(pod -> new NodeDecision.Vm(pod, saves.look(pod)))
                                .toList();
        OnNodeRemoval onRemoval = NodeLeave.removal(node).isPresent() ? saves.onNodeRemoval() : OnNodeRemoval.Block;
        NodeDecision decision = NodeDecision.decide(node, vms, ofNode, onRemoval);
        boolean all = true;
        for (NodeAction action : decision.actions()) {
            all &= perform(action);
        }
        return all ? decision.lookAgain() : Optional.of(REFUSED_INTERVAL);
    }

    private List<Pod> runningOn(String nodeName) {
        return client.pods().inAnyNamespace().withLabel(Torpor.VM_LABEL).list().getItems().stream()
                .filter(pod -> nodeName.equals(pod.getSpec().getNodeName()))
                .filter(VmPods::isLive)
                .filter(pod -> !VmPods.isTerminating(pod))
                .toList();
    }

    // One VM that the API server refuses something of must not hold up the others of its node.
    private boolean perform(NodeAction action) {
        try {
            switch (action) {
                case NodeAction.Begin(Pod pod, int attempt, String message) -> {
                    saves.begin(pod, DrainCause.Maintenance, attempt);
                    tell(pod, EventReason.DrainSaving, message);
                }
                case NodeAction.OrderShutdown(Pod pod, int attempt, String message) -> {
                    saves.orderShutdown(pod, attempt);
                    tell(pod, EventReason.ShuttingDown, message);
                }
                case NodeAction.Cancel(VMSnapshot save, String message) -> {
                    saves.cancel(save);
                    tell(save, EventReason.DrainEnded, message);
                }
                case NodeAction.Report(Pod pod, String message) -> tell(pod, EventReason.DrainBlocked, message);
                case NodeAction.ShutDown(Pod pod, VMSnapshot failed, String message) -> {
                    tell(pod, EventReason.ShuttingDown, message);
                    saves.askShutdown(failed, pod);
                }
                case NodeAction.Recall(VMSnapshot failed, String message) -> {
                    saves.recallShutdown(failed);
                    tell(failed, EventReason.DrainEnded, message);
                }
                case NodeAction.Close(VMSnapshot failed) -> saves.close(failed);
                case NodeAction.Delete(Pod pod, EventReason reason, String message) -> {
                    tell(pod, reason, message);
                    steps.take(
                            Step.DRAIN_DELETE_POD,
                            () -> pods.delete(pod.getMetadata().getNamespace(), VmPods.nameOf(pod)));
                }
            }
            return true;
        } catch (KubernetesClientException e) {
            LOG.warn("{}: {}", action.getClass().getSimpleName(), e.getMessage());
            if (action instanceof NodeAction.Begin(Pod pod, int _, String message)) {
                tell(pod, EventReason.DrainBlocked, message + " But the API server refuses: " + e.getMessage());
            }
            return false;
        }
    }

    private void tell(HasMetadata about, EventReason reason, String message) {
        LOG.info(
                "{} {}/{}: {}: {}",
                about.getKind(),
                about.getMetadata().getNamespace(),
                about.getMetadata().getName(),
                reason,
                message);
        events.record(about, new Notice(reason, message));
    }

    @Override
    public List<EventSource<?, Node>> prepareEventSources(EventSourceContext<Node> context) {
        return List.of(
                new InformerEventSource<>(
                        InformerEventSourceConfiguration.from(VMSnapshot.class, Node.class)
                                .withSecondaryToPrimaryMapper(NodeReconciler::nodeOf)
                                .build(),
                        context),
                new InformerEventSource<>(
                        InformerEventSourceConfiguration.from(Pod.class, Node.class)
                                .withLabelSelector(Torpor.VM_LABEL)
                                .withSecondaryToPrimaryMapper(
                                        pod -> named(pod.getSpec().getNodeName()))
                                .build(),
                        context),
                // It says what becomes of VMs that cannot be saved: who changes it may be waiting for a drain.
                new InformerEventSource<>(
                        InformerEventSourceConfiguration.from(VMSnapshotClass.class, Node.class)
                                .withSecondaryToPrimaryMapper(_ -> context.getPrimaryCache()
                                        .list()
                                        .map(ResourceID::fromResource)
                                        .collect(Collectors.toSet()))
                                .build(),
                        context));
    }

    private static Set<ResourceID> nodeOf(VMSnapshot snapshot) {
        var annotations = SaveProgress.annotations(snapshot);
        return Torpor.CREATED_BY_DRAIN.equals(annotations.get(Torpor.CREATED_BY_ANNOTATION))
                ? named(annotations.get(Torpor.DRAIN_NODE_ANNOTATION))
                : Set.of();
    }

    private static Set<ResourceID> named(@Nullable String node) {
        return node == null ? Set.of() : Set.of(new ResourceID(node));
    }
}
