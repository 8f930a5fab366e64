package dev.torpor.e2e.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Holds what this process, and those that it starts from now on, write to a disk past the page cache to a rate: by the kernel, in
 * a cgroup of the v1 controller {@code blkio}. Needs root.
 *
 * @see <a href="https://docs.kernel.org/admin-guide/cgroup-v1/blkio-controller.html">Block IO Controller</a>
 */
record DiskLimit(Path cgroup) implements AutoCloseable {
    private static final Path BLKIO = Path.of("/sys/fs/cgroup/blkio");
    private static final Path BLOCK_DEVICES = Path.of("/sys/dev/block");

    /**
     * Sets it.
     *
     * @param directory on the disk
     */
    static DiskLimit of(Path directory, long bytesPerSecond) throws IOException {
        if (!Files.isDirectory(BLKIO)) {
            throw new IOException(
                    BLKIO + " is not there: set TORPOR_BENCH_DISK_MBPS=0 to do without a disk of a known rate");
        }
        Path cgroup = Files.createDirectory(
                BLKIO.resolve("torpor-bench-" + ProcessHandle.current().pid()));
        DiskLimit limit = new DiskLimit(cgroup);
        try {
            Files.writeString(
                    cgroup.resolve("blkio.throttle.write_bps_device"), disk(directory) + " " + bytesPerSecond);
            enter(cgroup);
            return limit;
        } catch (IOException e) {
            limit.close();
            throw e;
        }
    }

    @Override
    public void close() throws IOException {
        enter(BLKIO);
        Files.delete(cgroup);
    }

    private static void enter(Path cgroup) throws IOException {
        Files.writeString(
                cgroup.resolve("cgroup.procs"),
                Long.toString(ProcessHandle.current().pid()));
    }

    /** Returns the numbers of the whole disk, as {@code 254:0}: parts of a disk cannot be held to a rate. */
    private static String disk(Path directory) throws IOException {
        long device = (Long) Files.getAttribute(directory, "unix:dev");
        // As the C library takes them apart (gnu_dev_major, gnu_dev_minor).
        long major = ((device >>> 8) & 0xfff) | ((device >>> 32) & ~0xfffL);
        long minor = (device & 0xff) | ((device >>> 12) & ~0xffL);
        Path block = BLOCK_DEVICES.resolve(major + ":" + minor).toRealPath();
        boolean part = Files.exists(block.resolve("partition"));
        return Files.readString(block.resolve(part ? "../dev" : "dev")).strip();
    }
}
