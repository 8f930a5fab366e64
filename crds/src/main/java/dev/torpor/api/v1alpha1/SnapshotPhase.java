package dev.torpor.api.v1alpha1;

/** Summary of a VMSnapshot's conditions, for people. */
public enum SnapshotPhase {
    /** Waiting to be admitted; condition Ready says for what. */
    Pending,

    /** A node was chosen; its agent has not begun. */
    Bound,

    /** Memory is being written. */
    Saving,

    /** The image is committed; the pod is being stopped. */
    Saved,

    /** The image can be restored. */
    Ready,

    /** A restore of the image is in progress. */
    Resuming,

    /** The image was restored in place and is gone. */
    Consumed,

    /** The save was cancelled; the VM runs. */
    Cancelled,

    /** The save failed; condition Stalled says why. */
    Failed,

    /** The time to live passed and the image is gone. */
    Expired
}
