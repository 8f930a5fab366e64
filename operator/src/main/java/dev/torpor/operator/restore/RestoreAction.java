package dev.torpor.operator.restore;

import dev.torpor.api.v1alpha1.ObjectName;
import io.fabric8.kubernetes.api.model.Pod;

/** A side effect of the controller beside status. Each can be repeated. */
sealed interface RestoreAction {
    /** None. */
    record Nothing() implements RestoreAction {}

    /** Creates the VM's pod. The pod carries the restore's UID, by which a repeat finds it. */
    record CreatePod(Pod manifest) implements RestoreAction {}

    /** Marks the pod that waits for the image with the restore's UID, and lets it go. */
    record GivePod(Pod pod) implements RestoreAction {}

    /** Deletes the pod that was created for a restore that failed, with a UID precondition. */
    record DeletePod(ObjectName pod) implements RestoreAction {}
}
