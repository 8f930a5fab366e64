package dev.torpor.operator.vm;

import dev.torpor.api.v1alpha1.Torpor;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.Node;
import io.fabric8.kubernetes.api.model.Pod;
import io.javaoperatorsdk.operator.api.config.informer.InformerEventSourceConfiguration;
import io.javaoperatorsdk.operator.api.reconciler.EventSourceContext;
import io.javaoperatorsdk.operator.processing.event.ResourceID;
import io.javaoperatorsdk.operator.processing.event.source.EventSource;
import io.javaoperatorsdk.operator.processing.event.source.informer.InformerEventSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Event sources that wake a controller when objects change that its own depend on. Both sides are described by keys:
 * a changed object wakes every object of ours in its namespace that has one of its keys.
 */
public final class Wakeups {
    private static final String INDEX = "wakeup";
    private static final String NODE_INDEX = "node";

    private Wakeups() {}

    /** A kind that is watched, and the keys of the objects that it wakes. */
    public record Watched<S extends HasMetadata>(Class<S> kind, boolean labelled, Function<S, List<String>> keys) {}

    /** Returns the pods of VMs as watched: a pod wakes by the name of its VM. */
    public static Watched<Pod> pods(Function<String, String> key) {
        return new Watched<>(
                Pod.class,
                true,
                pod -> List.of(key.apply(pod.getMetadata().getLabels().getOrDefault(Torpor.VM_LABEL, ""))));
    }

    /** Returns another kind as watched. */
    public static <S extends HasMetadata> Watched<S> others(Class<S> kind, Function<S, List<String>> keys) {
        return new Watched<>(kind, false, keys);
    }

    /**
     * Makes the event sources of a controller.
     *
     * @param keys by which an object of the controller is woken
     */
    public static <P extends HasMetadata> List<EventSource<?, P>> of(
            EventSourceContext<P> context, Function<P, List<String>> keys, Watched<?>... watched) {
        context.getPrimaryCache().addIndexer(INDEX, object -> keys.apply(object).stream()
                .map(key -> indexKey(object, key))
                .toList());
        List<EventSource<?, P>> sources = new ArrayList<>();
        for (Watched<?> kind : watched) {
            sources.add(source(context, kind));
        }
        return sources;
    }

    /**
     * Makes the event source that wakes a controller's objects of all namespaces when their node is cordoned, put in
     * maintenance or back, and when it comes or goes.
     *
     * @param nodeName node of an object; null: none
     */
    public static <P extends HasMetadata> EventSource<?, P> nodes(
            EventSourceContext<P> context, Function<P, @Nullable String> nodeName) {
        context.getPrimaryCache().addIndexer(NODE_INDEX, object -> Optional.ofNullable(nodeName.apply(object)).stream()
                .toList());
        return new InformerEventSource<>(
                InformerEventSourceConfiguration.from(Node.class, context.getPrimaryResourceClass())
                        .withOnUpdateFilter(new NodeChanges())
                        .withSecondaryToPrimaryMapper(node ->
                                context
                                        .getPrimaryCache()
                                        .byIndex(NODE_INDEX, node.getMetadata().getName())
                                        .stream()
                                        .map(ResourceID::fromResource)
                                        .collect(Collectors.toSet()))
                        .build(),
                context);
    }

    private static <S extends HasMetadata, P extends HasMetadata> EventSource<?, P> source(
            EventSourceContext<P> context, Watched<S> watched) {
        var configuration = InformerEventSourceConfiguration.from(watched.kind(), context.getPrimaryResourceClass())
                .withSecondaryToPrimaryMapper(changed -> wakes(context, watched, changed));
        if (watched.labelled()) {
            configuration.withLabelSelector(Torpor.VM_LABEL);
        }
        return new InformerEventSource<>(configuration.build(), context);
    }

    private static <S extends HasMetadata, P extends HasMetadata> Set<ResourceID> wakes(
            EventSourceContext<P> context, Watched<S> watched, S changed) {
        return watched.keys().apply(changed).stream()
                .flatMap(key -> context.getPrimaryCache().byIndex(INDEX, indexKey(changed, key)).stream())
                .map(ResourceID::fromResource)
                .collect(Collectors.toSet());
    }

    private static String indexKey(HasMetadata object, String key) {
        return object.getMetadata().getNamespace() + "/" + key;
    }
}
