package dev.torpor.agent.linux;

/**
 * Status flags of an open file, as open(2) takes and F_GETFL returns them.
 *
 * @param bits the flags
 */
public record OpenFlags(int bits) {
    public boolean writeOnly() {
        return (bits & Libc.O_ACCMODE) == Libc.O_WRONLY;
    }

    public boolean readOnly() {
        return (bits & Libc.O_ACCMODE) == Libc.O_RDONLY;
    }

    public boolean direct() {
        return (bits & Libc.O_DIRECT) != 0;
    }
}
