package dev.torpor.operator.vm;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import io.fabric8.kubernetes.api.model.ObjectMeta;
import java.util.Map;
import java.util.Optional;

/**
 * VMSnapshots that never save anything: by them the agent of a node that is about to be deleted is told to shut a VM down. They
 * are cancelled from the first, so that no agent, of whatever release, saves the VM onto the disk that goes.
 */
public final class ShutdownOrder {
    private ShutdownOrder() {}

    /** Returns whether a VMSnapshot is one, or was until it was recalled. */
    public static boolean is(VMSnapshot snapshot) {
        Map<String, String> annotations = annotations(snapshot);
        return Torpor.CREATED_BY_DRAIN.equals(annotations.get(Torpor.CREATED_BY_ANNOTATION))
                && Torpor.CAUSE_REMOVAL.equals(annotations.get(Torpor.DRAIN_CAUSE_ANNOTATION))
                && Boolean.TRUE.equals(snapshot.getSpec().cancel());
    }

    /** Returns whether a VMSnapshot is one that was not recalled: it is bound to a node, although it is cancelled. */
    public static boolean stands(VMSnapshot snapshot) {
        return is(snapshot) && annotations(snapshot).get(Torpor.SHUT_DOWN_ANNOTATION) != null;
    }

    private static Map<String, String> annotations(VMSnapshot snapshot) {
        return Optional.ofNullable(snapshot.getMetadata())
                .map(ObjectMeta::getAnnotations)
                .orElse(Map.of());
    }
}
