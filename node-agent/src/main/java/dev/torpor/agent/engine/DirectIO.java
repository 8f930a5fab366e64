package dev.torpor.agent.engine;

/** Whether the page cache is bypassed with O_DIRECT. */
public enum DirectIO {
    /** Where store and QEMU have it. */
    AUTO,
    /** Refused where they don't. */
    REQUIRED,
    /** Never. */
    OFF
}
