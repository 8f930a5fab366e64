package dev.torpor.api.v1alpha1;

/** Summary of a VMRestore's conditions, for people. */
public enum RestorePhase {
    /** Waiting to be admitted; condition Ready says for what. */
    Pending,

    /** The image was checked; the pod is being started. */
    Starting,

    /** QEMU loads the image. */
    Loading,

    /** The VM is back. */
    Running,

    /** The restore failed; condition Stalled says why. The image is safe. */
    Failed
}
