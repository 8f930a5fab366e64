package dev.torpor.agent.linux;

/** How a file is opened. */
public enum Access {
    /** O_RDONLY. */
    READ(Libc.O_RDONLY),
    /** O_RDONLY | O_DIRECT: offsets, lengths and memory must be aligned to the disk's block. */
    READ_DIRECT(Libc.O_RDONLY | Libc.O_DIRECT),
    /** O_WRONLY. */
    WRITE(Libc.O_WRONLY),
    /** O_WRONLY | O_DIRECT. */
    WRITE_DIRECT(Libc.O_WRONLY | Libc.O_DIRECT),
    /** O_RDWR. */
    READ_WRITE(Libc.O_RDWR),
    /** O_WRONLY | O_NONBLOCK, for a FIFO: fails with ENXIO while nobody reads it. */
    WRITE_FIFO(Libc.O_WRONLY | Libc.O_NONBLOCK),
    /** O_PATH: names the file without opening it; to look at its type, and to connect to a socket. */
    NAME_ONLY(Libc.O_PATH);

    final int flags;

    Access(int flags) {
        this.flags = flags | Libc.O_CLOEXEC | Libc.O_NOFOLLOW;
    }
}
