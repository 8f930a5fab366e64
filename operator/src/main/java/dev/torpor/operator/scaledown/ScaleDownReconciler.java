package dev.torpor.operator.scaledown;

import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.operator.step.Step;
import dev.torpor.operator.step.StepHook;
import dev.torpor.operator.vm.ManagedImages;
import io.fabric8.kubernetes.api.model.Node;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
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
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Annotates nodes that have the only memory of VMs, so that autoscalers do not delete them, and takes that back with the last
 * such image. Whatever woke it, it decides on what the API server says now.
 */
@ControllerConfiguration(
        name = "scaledown",
        generationAwareEventProcessing = false,
        informer = @Informer(onUpdateFilter = AnnotationChanges.class))
public final class ScaleDownReconciler implements Reconciler<Node> {
    private static final Logger LOG = LoggerFactory.getLogger(ScaleDownReconciler.class);

    private final KubernetesClient client;
    private final StepHook steps;

    /**
     * @param steps hears of each step
     */
    public ScaleDownReconciler(KubernetesClient client, StepHook steps) {
        this.client = client;
        this.steps = steps;
    }

    @Override
    public UpdateControl<Node> reconcile(Node woken, Context<Node> context) {
        // Most nodes have nothing to do with this, most of the time: they cost no request.
        boolean wanted = isKept(woken, context.getSecondaryResources(VMSnapshot.class));
        if (!ScaleDownHold.changes(AnnotationChanges.of(woken), wanted).isEmpty()) {
            step(woken.getMetadata().getName());
        }
        return UpdateControl.noUpdate();
    }

    /** Does one step. What changes meanwhile is a conflict, which is tried again. */
    void step(String nodeName) {
        Node node = client.nodes().withName(nodeName).get();
        if (node == null) {
            return;
        }
        boolean wanted = isKept(
                node, client.resources(VMSnapshot.class).inAnyNamespace().list().getItems());
        Map<String, @Nullable String> changes = ScaleDownHold.changes(AnnotationChanges.of(node), wanted);
        if (changes.isEmpty()) {
            return;
        }
        Map<String, Object> metadata = new HashMap<>();
        metadata.put("resourceVersion", node.getMetadata().getResourceVersion());
        metadata.put("uid", node.getMetadata().getUid());
        metadata.put("annotations", changes);
        steps.take(Step.NODE_MARK, () -> client.nodes()
                .withName(nodeName)
                .patch(
                        PatchContext.of(PatchType.JSON_MERGE),
                        client.getKubernetesSerialization().asJson(Map.of("metadata", metadata))));
        LOG.info(
                "Node {}: {}: {}",
                nodeName,
                wanted ? "kept from autoscalers, for the memory of VMs" : "no memory of VMs is left",
                changes);
    }

    private static boolean isKept(Node node, Collection<VMSnapshot> snapshots) {
        String name = node.getMetadata().getName();
        String uid = node.getMetadata().getUid();
        return snapshots.stream()
                .filter(snapshot -> snapshot.getStatus() != null
                        && name.equals(snapshot.getStatus().getNodeName())
                        // Another node of that name has not got the image.
                        && uid.equals(snapshot.getStatus().getNodeUID()))
                .anyMatch(ManagedImages::isOnlyMemory);
    }

    @Override
    public List<EventSource<?, Node>> prepareEventSources(EventSourceContext<Node> context) {
        return List.of(new InformerEventSource<>(
                InformerEventSourceConfiguration.from(VMSnapshot.class, Node.class)
                        .withSecondaryToPrimaryMapper(ScaleDownReconciler::nodeOf)
                        .build(),
                context));
    }

    private static Set<ResourceID> nodeOf(VMSnapshot snapshot) {
        String node = snapshot.getStatus() == null ? null : snapshot.getStatus().getNodeName();
        return node == null ? Set.of() : Set.of(new ResourceID(node));
    }
}
