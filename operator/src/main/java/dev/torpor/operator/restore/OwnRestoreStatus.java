package dev.torpor.operator.restore;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.api.v1alpha1.RestorePhase;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMRestoreStatus;
import io.fabric8.kubernetes.api.model.Condition;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Makes the operator's part of a VMRestore's status, always whole: what was decided earlier is carried over. */
final class OwnRestoreStatus {
    private final VMRestore seen;
    private final @Nullable VMRestoreStatus before;
    private final Instant now;

    OwnRestoreStatus(VMRestore seen, Instant now) {
        this.seen = seen;
        this.before = seen.getStatus();
        this.now = now;
    }

    VMRestoreStatus bound(RestoreSituation.Binding binding, String reason, String message) {
        VMRestoreStatus own = working(RestorePhase.Starting, reason, message);
        own.setNodeName(binding.nodeName());
        own.setSnapshotUID(binding.snapshotUid());
        own.setImageUID(binding.imageUid());
        own.setVmName(binding.vmName());
        own.setSavedPodIP(binding.savedPodIP().orElse(null));
        return own;
    }

    VMRestoreStatus withPod(ObjectName pod, RestorePhase phase, String reason, String message) {
        VMRestoreStatus own = working(phase, reason, message);
        own.setPod(pod);
        return own;
    }

    VMRestoreStatus working(RestorePhase phase, String reason, String message) {
        return with(
                phase,
                condition(ConditionType.READY, false, reason, message),
                condition(ConditionType.RECONCILING, true, reason, message));
    }

    VMRestoreStatus back(boolean ready, Optional<String> podIP, String reason, String message) {
        VMRestoreStatus own = with(RestorePhase.Running, condition(ConditionType.READY, ready, reason, message));
        podIP.ifPresent(own::setPodIP);
        return own;
    }

    VMRestoreStatus stalled(String reason, String message) {
        return with(
                RestorePhase.Failed,
                condition(ConditionType.READY, false, reason, message),
                condition(ConditionType.STALLED, true, reason, message));
    }

    private VMRestoreStatus with(RestorePhase phase, Condition... conditions) {
        VMRestoreStatus own = new VMRestoreStatus();
        own.setObservedGeneration(seen.getMetadata().getGeneration());
        own.setPhase(phase);
        own.setConditions(List.of(conditions));
        if (before != null) {
            own.setNodeName(before.getNodeName());
            own.setSnapshotUID(before.getSnapshotUID());
            own.setImageUID(before.getImageUID());
            own.setVmName(before.getVmName());
            own.setPod(before.getPod());
            own.setPodIP(before.getPodIP());
            own.setSavedPodIP(before.getSavedPodIP());
        }
        return own;
    }

    private Condition condition(String type, boolean status, String reason, String message) {
        return Conditions.next(
                before == null ? null : before.getConditions(),
                type,
                status,
                reason,
                message,
                seen.getMetadata().getGeneration(),
                now);
    }
}
