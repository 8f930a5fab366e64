package dev.torpor.api.v1alpha1;

/** What writes images. */
public enum EngineChoice {
    /** QEMU itself if it can; if it cannot, or is to compress, its channels are recorded. */
    Auto,
    /** QEMU writes the image itself (QEMU 9.0 and newer). */
    QemuDirect,
    /** QEMU's channels are recorded (QEMU 4.0 and newer). */
    MultifdStream
}
