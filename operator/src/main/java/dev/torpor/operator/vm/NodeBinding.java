package dev.torpor.operator.vm;

import io.fabric8.kubernetes.api.model.Affinity;
import io.fabric8.kubernetes.api.model.AffinityBuilder;
import io.fabric8.kubernetes.api.model.NodeSelectorRequirement;
import io.fabric8.kubernetes.api.model.NodeSelectorRequirementBuilder;
import io.fabric8.kubernetes.api.model.NodeSelectorTerm;
import io.fabric8.kubernetes.api.model.NodeSelectorTermBuilder;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Binds a pod to the node that has its VM's image, beside what its author says of nodes. */
final class NodeBinding {
    /** Field of nodes that a pod is bound by: labels can be changed, the name cannot. */
    private static final String NODE_NAME_FIELD = "metadata.name";

    private NodeBinding() {}

    /** Returns whether an affinity names no node at all. */
    static boolean isFree(@Nullable Affinity affinity) {
        return terms(affinity).stream()
                .flatMap(term -> term.getMatchFields().stream())
                .noneMatch(field -> NODE_NAME_FIELD.equals(field.getKey()));
    }

    private static List<NodeSelectorTerm> terms(@Nullable Affinity affinity) {
        return affinity == null
                        || affinity.getNodeAffinity() == null
                        || affinity.getNodeAffinity().getRequiredDuringSchedulingIgnoredDuringExecution() == null
                ? List.of()
                : affinity.getNodeAffinity()
                        .getRequiredDuringSchedulingIgnoredDuringExecution()
                        .getNodeSelectorTerms();
    }

    /** Returns an affinity that is the given one, and requires the node. */
    // The terms of a node selector are alternatives, so the node is required in each of them.
    static Affinity require(@Nullable Affinity affinity, String nodeName) {
        NodeSelectorRequirement onNode = new NodeSelectorRequirementBuilder()
                .withKey(NODE_NAME_FIELD)
                .withOperator("In")
                .withValues(nodeName)
                .build();
        List<NodeSelectorTerm> terms = new ArrayList<>();
        for (NodeSelectorTerm term : terms(affinity)) {
            List<NodeSelectorRequirement> fields = new ArrayList<>(term.getMatchFields());
            fields.removeIf(field -> NODE_NAME_FIELD.equals(field.getKey()));
            fields.add(onNode);
            terms.add(new NodeSelectorTermBuilder(term).withMatchFields(fields).build());
        }
        if (terms.isEmpty()) {
            terms.add(new NodeSelectorTermBuilder().withMatchFields(onNode).build());
        }
        return (affinity == null ? new AffinityBuilder() : new AffinityBuilder(affinity))
                .editOrNewNodeAffinity()
                .withNewRequiredDuringSchedulingIgnoredDuringExecution()
                .withNodeSelectorTerms(terms)
                .endRequiredDuringSchedulingIgnoredDuringExecution()
                .endNodeAffinity()
                .build();
    }
}
