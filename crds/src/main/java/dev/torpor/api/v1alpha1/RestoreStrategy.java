package dev.torpor.api.v1alpha1;

/** How memory is brought back. */
public enum RestoreStrategy {
    /** The quickest way that the image and the QEMU allow. */
    Auto,

    /** All memory is loaded before the guest runs. */
    Eager,

    /** The guest runs at once, and reads its memory from the image when it wants it; refused where that cannot be. */
    Lazy
}
