package dev.torpor.agent.linux;

import java.time.Instant;

/**
 * What fstat(2) tells of a file.
 *
 * @param mode type and permission bits
 * @param uid numeric owner
 * @param device number of the file system
 * @param inode number of the inode on its file system
 * @param sizeBytes length, holes included
 * @param allocatedBytes bytes occupied on disk
 * @param modifiedAt when its content was last changed
 */
public record FileFacts(
        int mode, int uid, long device, long inode, long sizeBytes, long allocatedBytes, Instant modifiedAt) {
    // sys/stat.h
    private static final int S_IFMT = 0xF000;
    private static final int S_IFSOCK = 0xC000;
    private static final int S_IFREG = 0x8000;
    private static final int S_IFDIR = 0x4000;
    private static final int S_IFIFO = 0x1000;

    /** Returns the permission bits. */
    public int permissions() {
        return mode & 07777;
    }

    public boolean isSocket() {
        return (mode & S_IFMT) == S_IFSOCK;
    }

    public boolean isRegularFile() {
        return (mode & S_IFMT) == S_IFREG;
    }

    public boolean isDirectory() {
        return (mode & S_IFMT) == S_IFDIR;
    }

    public boolean isFifo() {
        return (mode & S_IFMT) == S_IFIFO;
    }
}
