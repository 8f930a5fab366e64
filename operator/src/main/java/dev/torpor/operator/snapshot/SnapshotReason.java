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
    /** The VM starts when somebody makes a VMRestore. */
    Manual,

    /** No pod of the VM is there to be started in. */
    NoPod,

    /** Other VMs of the node are started first. */
    Queued,

    /** The last start failed. */
    StartFailed,

    /** A restore that starts the VM was made. */
    Starting,

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
