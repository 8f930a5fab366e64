package dev.torpor.agent.linux;

import java.io.IOException;
import java.io.Serial;

/** A system call failed; the message names the call, what it was about, and the error as errno(3) names it. */
public final class ErrnoException extends IOException {
    @Serial
    private static final long serialVersionUID = 1L;

    // asm-generic/errno-base.h and errno.h of Linux.
    public static final int EPERM = 1;
    public static final int ENOENT = 2;
    public static final int EINTR = 4;
    public static final int ENXIO = 6;
    public static final int EAGAIN = 11;
    public static final int EEXIST = 17;
    public static final int EXDEV = 18;
    public static final int ENOTDIR = 20;
    public static final int EINVAL = 22;
    public static final int ENOSPC = 28;
    public static final int EPIPE = 32;
    public static final int ELOOP = 40;
    public static final int ECONNRESET = 104;
    public static final int ENOTCONN = 107;
    public static final int ECONNREFUSED = 111;
    public static final int EDQUOT = 122;

    private final int errno;

    ErrnoException(String call, String about, int errno) {
        super(call + (about.isEmpty() ? "" : " " + about) + ": " + Libc.describe(errno));
        this.errno = errno;
    }

    /** Tells whether a file system has no room for what was to be written, or a quota has none. */
    public boolean isOutOfSpace() {
        return errno == ENOSPC || errno == EDQUOT;
    }

    /** Returns the error's number. */
    public int errno() {
        return errno;
    }
}
