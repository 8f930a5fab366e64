package dev.torpor.operator.restore;

/**
 * Reasons of condition Ready that are no failures; those are {@link dev.torpor.failure.FailureReason}. The names are
 * API: never renamed.
 */
enum RestoreReason {
    /** The agent checks the image. */
    CheckingImage,
    /** The VM's controller is to make its pod. */
    AwaitingPod,

    /** The VM's pod is being started. */
    StartingPod,
    /** QEMU loads the image. */
    Loading,
    /** The VM is back. */
    Running,
    /** The VM is back, paused. */
    Paused,
    /** The VM was back, and its QEMU has ended since. */
    Ended,
    /** The VM has its memory, and QEMU does not let it run. */
    NotContinued,
    /** The node that has the image is gone. */
    NodeGone
}
