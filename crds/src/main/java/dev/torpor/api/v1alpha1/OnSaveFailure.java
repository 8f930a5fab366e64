package dev.torpor.api.v1alpha1;

/** What becomes of a VM that a drain of its node cannot save. */
public enum OnSaveFailure {
    /** It runs on, and the drain waits until somebody helps. */
    Block,

    /**
     * Its guest is asked to shut down, as by its power button, and its pod is deleted when QEMU has ended; a guest that has
     * not done so within the pod's grace period runs on, as with {@link #Block}.
     */
    Shutdown,

    /** Its pod is deleted, and its memory is lost. */
    Delete
}
