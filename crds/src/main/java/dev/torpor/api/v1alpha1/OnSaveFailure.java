package dev.torpor.api.v1alpha1;

/** What becomes of a VM that a drain of its node cannot save. */
public enum OnSaveFailure {
    /** It runs on, and the drain waits until somebody helps. */
    Block,

    /** Its pod is deleted, and its memory is lost. */
    Delete
}
