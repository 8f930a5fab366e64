package dev.torpor.operator.scaledown;

import dev.torpor.api.v1alpha1.Torpor;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * The annotations that keep autoscalers from deleting a node. One that somebody else set, to whatever value, is left alone,
 * also when it is no longer needed: which ones are ours is written on the node beside them.
 */
final class ScaleDownHold {
    /**
     * <ul>
     *   <li>cluster autoscaler: its FAQ, "How can I prevent Cluster Autoscaler from scaling down a particular node?";
     *   <li>Karpenter: its page on disruption, "Node-Level Controls"; voluntary disruption only.
     * </ul>
     */
    static final List<String> KEYS =
            List.of("cluster-autoscaler.kubernetes.io/scale-down-disabled", "karpenter.sh/do-not-disrupt");

    private static final String HELD = "true";

    private ScaleDownHold() {}

    /**
     * Returns what is to be changed about a node's annotations; null: to be removed. Pure.
     *
     * @param annotations of the node
     * @param wanted whether the node is to be kept
     */
    static Map<String, @Nullable String> changes(Map<String, String> annotations, boolean wanted) {
        TreeSet<String> ours = new TreeSet<>(ours(annotations));
        ours.removeIf(key -> !KEYS.contains(key)
                || Optional.ofNullable(annotations.get(key))
                        .filter(value -> !HELD.equals(value))
                        .isPresent());
        Map<String, @Nullable String> changes = new TreeMap<>();
        if (wanted) {
            for (String key : KEYS) {
                if (!annotations.containsKey(key)) {
                    changes.put(key, HELD);
                    ours.add(key);
                }
            }
        } else {
            ours.stream().filter(annotations::containsKey).forEach(key -> changes.put(key, null));
            ours.clear();
        }
        String now = ours.isEmpty() ? null : String.join(",", ours);
        if (!Objects.equals(now, annotations.get(Torpor.HELD_BY_ANNOTATION))) {
            changes.put(Torpor.HELD_BY_ANNOTATION, now);
        }
        return changes;
    }

    /** Returns whether two states of a node's annotations are the same to us. */
    static boolean isSame(Map<String, String> one, Map<String, String> other) {
        return KEYS.stream().allMatch(key -> Objects.equals(one.get(key), other.get(key)))
                && Objects.equals(one.get(Torpor.HELD_BY_ANNOTATION), other.get(Torpor.HELD_BY_ANNOTATION));
    }

    private static List<String> ours(Map<String, String> annotations) {
        String list = annotations.get(Torpor.HELD_BY_ANNOTATION);
        return list == null ? List.of() : List.of(list.split(",", -1));
    }
}
