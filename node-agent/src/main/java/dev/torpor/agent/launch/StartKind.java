package dev.torpor.agent.launch;

/** How a VM was started. */
public enum StartKind {
    /** Cold, from its disks. */
    BOOT,
    /** With {@code -incoming defer}, to be fed an image. */
    RESUME
}
