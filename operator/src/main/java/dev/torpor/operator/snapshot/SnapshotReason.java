package dev.torpor.operator.snapshot;

/**
 * Reasons of condition Ready that are no failures; those are {@link dev.torpor.failure.FailureReason}. The names are
 * API: never renamed.
 */
enum SnapshotReason {
    /** A node's agent was told to save the VM. */
    Bound,
    /** The agent is writing memory. */
    Saving,
    /** The image is committed; the VM's pod is being deleted. */
    StoppingVM,
    /** The image can be restored. */
    Restorable,
    /** A restore of the image is in progress. */
    Resuming,
    /** The image was restored in place and is gone. */
    Consumed,
    /** The VM has run since the image was made. */
    Stale,
    /** The node that has the image is gone. */
    NodeGone,
    /** The object is being deleted. */
    Deleting
}
