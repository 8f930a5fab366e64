package dev.torpor.e2e.disk;

import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpLimits;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * A mounted ext4 whose disk fails, hangs and recovers as it is told. What the disk answers comes from QEMU's {@code blkdebug}: one
 * node for each fault stands on the same file, and the exported one is put on top of another while it is in use. There is no
 * journal, which ext4 would give up at the first error for good.
 */
public final class FaultyDisk implements AutoCloseable {
    private static final String TOP = "top";
    private static final String GOOD = "good";
    private static final int EIO = 5;

    /** What goes wrong. */
    public enum Fault {
        /** Each write fails with EIO. */
        WRITES("write", false),
        /** Each read does. */
        READS("read", false),
        /** The next flush does, and no other: the daemon itself flushes before it does what it is told. */
        NEXT_FLUSH("flush", true);

        private final String kind;
        private final boolean once;

        Fault(String kind, boolean once) {
            this.kind = kind;
            this.once = once;
        }
    }

    private final ExportedDisk disk;
    private final QmpClient monitor;
    private int faults;

    private FaultyDisk(ExportedDisk disk, QmpClient monitor) {
        this.disk = disk;
        this.monitor = monitor;
    }

    /** Makes one, and mounts it. */
    public static FaultyDisk mount(Path folder, int sizeMiB) throws IOException, TorporException {
        return mount(folder, sizeMiB, List.of(), "defaults");
    }

    /** Makes one with features of ext4's, and mounts it with options. */
    public static FaultyDisk mount(Path folder, int sizeMiB, List<String> mkfs, String mountOptions)
            throws IOException, TorporException {
        Path socket = folder.resolve("daemon.sock");
        List<String> arguments = List.of(
                "--chardev",
                "socket,id=monitor,server=on,wait=off,path=" + socket,
                "--monitor",
                "chardev=monitor",
                "--blockdev",
                "driver=file,node-name=" + GOOD + ",filename=" + ExportedDisk.file(folder),
                "--blockdev",
                "driver=raw,node-name=" + TOP + ",file=" + GOOD);
        List<String> make = new ArrayList<>(List.of("-O", "^has_journal"));
        make.addAll(mkfs);
        ExportedDisk disk = new ExportedDisk(folder, sizeMiB, TOP, arguments, make, mountOptions);
        try {
            return new FaultyDisk(disk, QmpClient.connect(socket, QmpLimits.DEFAULT));
        } catch (TorporException e) {
            disk.close();
            throw e;
        }
    }

    /** Returns where it is mounted. */
    public Path path() {
        return disk.path();
    }

    /** Returns the block device. */
    public String device() {
        return disk.device();
    }

    /** Has the disk fail from now on. */
    public void fail(Fault fault) throws TorporException {
        String node = "fault-" + ++faults;
        var _ = monitor.execute(
                "blockdev-add",
                Map.of(
                        "driver",
                        "blkdebug",
                        "node-name",
                        node,
                        "image",
                        GOOD,
                        "inject-error",
                        List.of(Map.of("event", "none", "iotype", fault.kind, "errno", EIO, "once", fault.once))));
        putOn(node);
    }

    /** Has the disk be well again. */
    public void recover() throws TorporException {
        putOn(GOOD);
    }

    private void putOn(String node) throws TorporException {
        var _ = monitor.execute(
                "blockdev-reopen", Map.of("options", List.of(Map.of("driver", "raw", "node-name", TOP, "file", node))));
    }

    /** Has the disk answer nothing any more: whoever waits for it, waits. */
    public void hang() throws IOException {
        signal("STOP");
    }

    /** Ends {@link #hang}. */
    public void goOn() throws IOException {
        signal("CONT");
    }

    /** Has the kernel forget what it has of files, so that they are read from the disk again. */
    public void forgetPages() throws IOException {
        ExportedDisk.run("sync", "--file-system", path().toString());
        Files.writeString(Path.of("/proc/sys/vm/drop_caches"), "3\n");
    }

    private void signal(String name) throws IOException {
        ExportedDisk.run("kill", "-" + name, Long.toString(disk.daemon().pid()));
    }

    @Override
    public void close() throws IOException {
        try (disk) {
            goOn();
            recover();
        } catch (TorporException e) {
            throw new IOException("the disk's daemon does not answer", e);
        } finally {
            monitor.close();
        }
    }
}
