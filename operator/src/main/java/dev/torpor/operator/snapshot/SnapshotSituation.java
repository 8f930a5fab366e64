package dev.torpor.operator.snapshot;

import dev.torpor.api.v1alpha1.ConsumedBy;
import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VolumeSnapshotStatus;
import dev.torpor.failure.FailureReason;
import dev.torpor.operator.vm.StoreState;
import io.fabric8.kubernetes.api.model.Pod;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Where a VMSnapshot stands, as read from the API server: one record for each situation that is treated in its own way. */
sealed interface SnapshotSituation {
    /** Its end is written down, and nothing is left to do. */
    record Ended() implements SnapshotSituation {}

    /** Its status, which a backup tool brought back, was written for another object of its name. */
    record StatusOfAnother() implements SnapshotSituation {}

    /** It does not carry our finalizer yet. */
    record New() implements SnapshotSituation {}

    /** Cancelled before a node was chosen. */
    record CancelledUnbound() implements SnapshotSituation {}

    /** It cannot be admitted, now or ever. */
    record Refused(FailureReason reason, String message) implements SnapshotSituation {}

    /** It can be bound. */
    record Admissible(Binding binding) implements SnapshotSituation {}

    /** Bound, and the agent has not come to an end; {@code store} says whether there is an agent. */
    record InWork(StoreState store, Cuts cuts) implements SnapshotSituation {
        InWork(StoreState store) {
            this(store, Cuts.NONE);
        }
    }

    /** The agent gave up, and says what became of the VM. */
    record GaveUp(String reason, String message, Cuts cuts) implements SnapshotSituation {
        GaveUp(String reason, String message) {
            this(reason, message, Cuts.NONE);
        }
    }

    /** The image is committed, and the pod that it was taken from is still there. */
    record StoppingSource(ObjectName pod, boolean terminating) implements SnapshotSituation {}

    /** The image can be restored. */
    record Restorable(String nodeName, Cuts cuts) implements SnapshotSituation {
        Restorable(String nodeName) {
            this(nodeName, Cuts.NONE);
        }
    }

    /**
     * A managed image waits, and its VM is not started yet.
     *
     * @param reason for condition Resumable
     * @param pod that is held for the image; empty if there is none
     * @param lookAgain when that may have changed without an event
     */
    record Held(String reason, String message, Optional<Pod> pod, Duration lookAgain) implements SnapshotSituation {}

    /** A managed image waits, and the bare pod that it was taken from is to be made again, to wait in. */
    record PodMissing(Pod manifest) implements SnapshotSituation {}

    /** A managed image waits, and a restore of this name is to start its VM. */
    record Startable(String nodeName, String restoreName) implements SnapshotSituation {}

    /** A managed image waits, and was deleted with its whole namespace. */
    record NamespaceDeleted() implements SnapshotSituation {}

    /** A restore of the image is in progress; those of ours before it failed and go. */
    record BeingRestored(String restoreName, List<VMRestore> failedBefore) implements SnapshotSituation {}

    /** The image was restored in place and is gone; by whom, where it is still known. */
    record Consumed(@Nullable ConsumedBy by) implements SnapshotSituation {}

    /** The image can no longer be restored. */
    record ImageUnusable(String reason, String message) implements SnapshotSituation {}

    /** It is being deleted and no file can exist: our finalizer can go. */
    record DeletedUnbound() implements SnapshotSituation {}

    /** It is being deleted, and the node that has the file is gone. */
    record DeletedWithNode(String message) implements SnapshotSituation {}

    /** It is being deleted, and its node's agent sees to the file and to our finalizer. */
    record DeletedByAgent() implements SnapshotSituation {}

    /**
     * What binding a snapshot to a node rests on.
     *
     * @param pod the VM's; without a name if it is gone
     * @param manifest the same as it is, to be recorded; empty if it is gone
     * @param claims its PersistentVolumeClaims
     * @param volumeSnapshots those of them that are to be taken in the pause
     */
    record Binding(
            @Nullable String className,
            ObjectName pod,
            Optional<Pod> manifest,
            String nodeName,
            String nodeUid,
            String storeId,
            List<ObjectName> claims,
            List<VolumeSnapshotStatus> volumeSnapshots) {}
}
