package dev.torpor.operator.snapshot;

import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VolumeSnapshotStatus;
import dev.torpor.operator.event.Notice;
import io.fabric8.kubernetes.api.model.Pod;
import java.util.List;

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

    /** Annotates a managed snapshot that is being deleted, so that its image may go. */
    record Discard() implements SnapshotAction {}

    /** Creates a bare pod again, which admission holds. */
    record CreatePod(Pod manifest) implements SnapshotAction {}

    /** Creates the VolumeSnapshots of a pause that are not there yet, and deletes those of one that came to nothing. */
    record CutDisks(List<VolumeSnapshotStatus> create, List<String> delete) implements SnapshotAction {}

    /** Tells in an Event of a pod what it waits for. */
    record TellPod(Pod pod, Notice notice) implements SnapshotAction {}

    /** Creates the restore that starts the VM. */
    record StartRestore(String nodeName, String name) implements SnapshotAction {}

    /** Removes restores of ours that failed before the one that is at work. */
    record ForgetRestores(List<VMRestore> failedBefore) implements SnapshotAction {}
}
