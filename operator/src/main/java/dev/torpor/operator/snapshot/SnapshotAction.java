package dev.torpor.operator.snapshot;

import dev.torpor.api.v1alpha1.ObjectName;
import io.fabric8.kubernetes.api.model.Pod;

/** A side effect of the controller beside status. Each can be repeated. */
sealed interface SnapshotAction {
    /** None. */
    record Nothing() implements SnapshotAction {}

    /** Adds our finalizer, before anything that would need it. */
    record AddFinalizer() implements SnapshotAction {}

    /** Removes our finalizer. */
    record RemoveFinalizer() implements SnapshotAction {}

    /** Records the manifest of the pod that is about to be saved. */
    record RecordManifest(Pod pod) implements SnapshotAction {}

    /** Deletes the pod whose memory is committed, with a UID precondition. */
    record DeletePod(ObjectName pod) implements SnapshotAction {}
}
