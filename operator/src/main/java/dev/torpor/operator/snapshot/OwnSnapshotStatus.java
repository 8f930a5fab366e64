package dev.torpor.operator.snapshot;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.ConsumedBy;
import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.operator.vm.VmPods;
import io.fabric8.kubernetes.api.model.Condition;
import java.time.Instant;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Makes the operator's part of a VMSnapshot's status, always whole: what was decided earlier is carried over, and each
 * method is a transition that sets phase and all of the operator's conditions. kstatus reads them: Reconciling=True while
 * something is under way, Stalled=True after a failure for good, neither at an end that is none.
 */
final class OwnSnapshotStatus {
    /** Default of the CRD, for objects that were made without it. */
    static final int DEADLINE_SECONDS_DEFAULT = 300;

    private final VMSnapshot seen;
    private final @Nullable VMSnapshotStatus before;
    private final Instant now;

    OwnSnapshotStatus(VMSnapshot seen, Instant now) {
        this.seen = seen;
        this.before = seen.getStatus();
        this.now = now;
    }

    SnapshotPhase phase() {
        SnapshotPhase phase = before == null ? null : before.getPhase();
        return phase == null ? SnapshotPhase.Pending : phase;
    }

    VMSnapshotStatus bound(
            SnapshotSituation.Binding binding, ObjectName pod, String revision, String reason, String message) {
        VMSnapshotStatus own = working(SnapshotPhase.Bound, reason, message);
        own.setClassName(binding.className());
        own.setNodeName(binding.nodeName());
        own.setNodeUID(binding.nodeUid());
        own.setStoreID(binding.storeId());
        own.setPod(pod);
        own.setPodIP(binding.manifest().flatMap(VmPods::addressOf).orElse(null));
        own.setManifestRevision(revision);
        own.setClaims(binding.claims().isEmpty() ? null : binding.claims());
        own.setVolumeSnapshots(binding.volumeSnapshots().isEmpty() ? null : binding.volumeSnapshots());
        return own;
    }

    VMSnapshotStatus working(SnapshotPhase phase, String reason, String message) {
        return with(
                phase,
                condition(ConditionType.READY, false, reason, message),
                condition(ConditionType.RECONCILING, true, reason, message));
    }

    VMSnapshotStatus ready(String reason, String message) {
        return with(SnapshotPhase.Ready, condition(ConditionType.READY, true, reason, message));
    }

    /** Of a managed image: restorable, and whether its VM is being started from it. */
    VMSnapshotStatus waiting(String ready, boolean starting, String reason, String message) {
        return with(
                SnapshotPhase.Ready,
                condition(ConditionType.READY, true, SnapshotReason.Restorable.name(), ready),
                condition(ConditionType.RESUMABLE, starting, reason, message));
    }

    VMSnapshotStatus consumed(@Nullable ConsumedBy by, String reason, String message) {
        VMSnapshotStatus own = with(SnapshotPhase.Consumed, condition(ConditionType.READY, false, reason, message));
        own.setConsumedBy(by);
        return own;
    }

    VMSnapshotStatus notRestorable(String reason, String message) {
        return with(
                SnapshotPhase.Ready,
                condition(ConditionType.READY, false, reason, message),
                condition(ConditionType.STALLED, true, reason, message));
    }

    VMSnapshotStatus stalled(SnapshotPhase phase, String reason, String message) {
        return with(
                phase,
                condition(ConditionType.READY, false, reason, message),
                condition(ConditionType.STALLED, true, reason, message));
    }

    private VMSnapshotStatus with(SnapshotPhase phase, Condition... conditions) {
        VMSnapshotStatus own = new VMSnapshotStatus();
        own.setObservedGeneration(seen.getMetadata().getGeneration());
        own.setPhase(phase);
        own.setConditions(List.of(conditions));
        if (before != null) {
            own.setClassName(before.getClassName());
            own.setNodeName(before.getNodeName());
            own.setNodeUID(before.getNodeUID());
            own.setStoreID(before.getStoreID());
            own.setPod(before.getPod());
            own.setPodIP(before.getPodIP());
            own.setManifestRevision(before.getManifestRevision());
            own.setClaims(before.getClaims());
            own.setVolumeSnapshots(before.getVolumeSnapshots());
            own.setCancelRequested(before.getCancelRequested());
            own.setConsumedBy(before.getConsumedBy());
        }
        if (isCancelled()) {
            own.setCancelRequested(true);
        }
        return own;
    }

    // Once the image is committed a cancel comes too late, and is not taken for one.
    private boolean isCancelled() {
        return (Boolean.TRUE.equals(seen.getSpec().cancel())
                        || seen.getMetadata().getDeletionTimestamp() != null)
                && !Conditions.isTrue(conditions(), ConditionType.SAVED);
    }

    private Condition condition(String type, boolean status, String reason, String message) {
        return Conditions.next(
                conditions(), type, status, reason, message, seen.getMetadata().getGeneration(), now);
    }

    private @Nullable List<Condition> conditions() {
        return before == null ? null : before.getConditions();
    }
}
