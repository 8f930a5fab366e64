package dev.torpor.e2e.qemu;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.awaitility.Awaitility;

/**
 * A mounted ext4 whose disk notes each write and each flush, so that what a power loss leaves can be made afterwards. QEMU's
 * storage daemon exports a file over FUSE, behind its filter {@code blklogwrites}; a loop device on that file is the disk. The
 * log has the format of dm-log-writes (Documentation/admin-guide/device-mapper/log-writes.rst), little-endian, in sectors of 512
 * bytes: one for {@code u64 magic, u64 version, u64 entries, u32 sector size}, then for each entry one with
 * {@code u64 sector, u64 sectors, u64 flags, u64}, and its data.
 */
final class LoggedDisk implements AutoCloseable {
    private static final int SECTOR_BYTES = 512;
    private static final long ENTRIES_OFFSET = 16;
    private static final long FLUSH = 1;
    private static final long DISCARD = 4;

    private final Path folder;
    private final Process daemon;
    private final String device;

    LoggedDisk(Path folder, int sizeMiB) throws IOException {
        this.folder = Files.createDirectory(folder);
        sparse(folder.resolve("disk"), (long) sizeMiB << 20);
        sparse(folder.resolve("log"), (long) sizeMiB << 24);
        Path export = Files.createFile(folder.resolve("export"));
        daemon = new ProcessBuilder(
                        "qemu-storage-daemon",
                        "--blockdev",
                        "driver=file,node-name=disk,filename=" + folder.resolve("disk"),
                        "--blockdev",
                        "driver=file,node-name=log,filename=" + folder.resolve("log"),
                        "--blockdev",
                        "driver=blklogwrites,node-name=logged,file=disk,log=log,log-sector-size=" + SECTOR_BYTES,
                        "--export",
                        "type=fuse,id=export,node-name=logged,writable=on,mountpoint=" + export)
                .inheritIO()
                .start();
        Awaitility.await().atMost(Duration.ofSeconds(20)).until(() -> Files.size(export) > 0);
        device = run("losetup", "-f", "--show", export.toString()).strip();
        run("mkfs.ext4", "-q", device);
        run("mount", device, Files.createDirectory(folder.resolve("mounted")).toString());
    }

    /** Returns where it is mounted. */
    Path path() {
        return folder.resolve("mounted");
    }

    /** Returns how many entries were there at the last flush, of what was flushed. */
    int entries() throws IOException {
        try (FileChannel log = FileChannel.open(folder.resolve("log"))) {
            return (int) read(log, ENTRIES_OFFSET, Long.BYTES).getLong();
        }
    }

    private record Entry(long offset, long bytes, boolean flush, boolean discard, long dataOffset) {}

    private static List<Entry> entries(FileChannel log) throws IOException {
        long count = read(log, ENTRIES_OFFSET, Long.BYTES).getLong();
        List<Entry> entries = new ArrayList<>();
        long at = SECTOR_BYTES;
        for (long n = 0; n < count; n++) {
            ByteBuffer entry = read(log, at, 4 * Long.BYTES);
            long sector = entry.getLong();
            long bytes = entry.getLong() * SECTOR_BYTES;
            long flags = entry.getLong();
            at += SECTOR_BYTES;
            boolean discard = (flags & DISCARD) != 0;
            entries.add(new Entry(sector * SECTOR_BYTES, bytes, (flags & FLUSH) != 0, discard, at));
            at += discard ? 0 : bytes;
        }
        return entries;
    }

    /** What a disk may keep of the writes that were not flushed. */
    enum Keeps {
        NONE,
        ALL,
        /** Some of them whole, some with their first sectors only, and some not. */
        SOME
    }

    /**
     * Mounts what a disk has whose power went away: all that was flushed, and of the later writes those that it keeps.
     *
     * @param entry how many entries were made before
     */
    Mounted afterPowerLoss(int entry, Keeps keeps, Random random) throws IOException {
        Path image = folder.resolve("cut");
        Files.deleteIfExists(image);
        sparse(image, Files.size(folder.resolve("disk")));
        try (FileChannel log = FileChannel.open(folder.resolve("log"));
                FileChannel disk = FileChannel.open(image, StandardOpenOption.WRITE)) {
            List<Entry> all = entries(log).subList(0, entry);
            int flushed = all.size();
            while (flushed > 0 && !all.get(flushed - 1).flush()) {
                flushed--;
            }
            for (int i = 0; i < all.size(); i++) {
                Entry write = all.get(i);
                long bytes = i < flushed || keeps == Keeps.ALL
                        ? write.bytes()
                        : keeps == Keeps.NONE ? 0 : kept(write.bytes(), random);
                if (!write.discard() && bytes > 0) {
                    disk.write(read(log, write.dataOffset(), (int) bytes), write.offset());
                }
            }
        }
        return new Mounted(folder.resolve("after"), image);
    }

    private static long kept(long bytes, Random random) {
        return switch (random.nextInt(3)) {
            case 0 -> 0;
            case 1 -> bytes;
            default -> random.nextLong(bytes / SECTOR_BYTES + 1) * SECTOR_BYTES;
        };
    }

    /** A file system after a power loss. */
    static final class Mounted implements AutoCloseable {
        private final Path path;

        Mounted(Path path, Path image) throws IOException {
            this.path = Files.createDirectories(path);
            run("mount", "-o", "loop", image.toString(), path.toString());
        }

        Path path() {
            return path;
        }

        @Override
        public void close() throws IOException {
            run("umount", path.toString());
        }
    }

    private static void sparse(Path file, long bytes) throws IOException {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
            channel.write(ByteBuffer.allocate(1), bytes - 1);
        }
    }

    private static ByteBuffer read(FileChannel channel, long offset, int bytes) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
        while (buffer.hasRemaining() && channel.read(buffer, offset + buffer.position()) > 0) {
            // until it is full, or the file ends
        }
        return buffer.flip();
    }

    @Override
    public void close() throws IOException {
        run("umount", path().toString());
        run("losetup", "-d", device);
        daemon.destroy();
        daemon.onExit().join();
    }

    private static String run(String... command) throws IOException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        int code = process.onExit().join().exitValue();
        if (code != 0) {
            throw new IOException(String.join(" ", command) + ": " + output);
        }
        return output;
    }
}
