package dev.torpor.operator.scaledown;

import io.fabric8.kubernetes.api.model.Node;
import io.javaoperatorsdk.operator.processing.event.source.filter.OnUpdateFilter;
import java.util.Map;
import java.util.Objects;

/** Lets through only changes of the annotations that keep a node: kubelets write their status all the time. */
public final class AnnotationChanges implements OnUpdateFilter<Node> {
    @Override
    public boolean accept(Node now, Node before) {
        return !ScaleDownHold.isSame(of(now), of(before));
    }

    static Map<String, String> of(Node node) {
        return Objects.requireNonNullElse(node.getMetadata().getAnnotations(), Map.of());
    }
}
