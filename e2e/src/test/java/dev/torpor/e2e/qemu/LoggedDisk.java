package dev.torpor.e2e.qemu;

import dev.torpor.e2e.disk.ExportedDisk;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/**
 * A mounted ext4 whose disk notes each write and each flush, so that what a power loss leaves can be made afterwards, by QEMU's
 * filter {@code blklogwrites}. The log has the format of dm-log-writes (Documentation/admin-guide/device-mapper/log-writes.rst), little-endian, in sectors of 512
 * bytes: one for {@code u64 magic, u64 version, u64 entries, u32 sector size}, then for each entry one with
 * {@code u64 sector, u64 sectors, u64 flags, u64}, and its data.
 */
final class LoggedDisk implements AutoCloseable {
    private static final int SECTOR_BYTES = 512;
    private static final long ENTRIES_OFFSET = 16;
    private static final long FLUSH = 1;
    private static final long DISCARD = 4;

    private final Path folder;
    private final ExportedDisk disk;

    LoggedDisk(Path folder, int sizeMiB) throws IOException {
        this.folder = Files.createDirectory(folder);
        ExportedDisk.sparse(folder.resolve("log"), (long) sizeMiB << 24);
        disk = new ExportedDisk(
                folder,
                sizeMiB,
                "logged",
                List.of(
                        "--blockdev",
                        "driver=file,node-name=disk,filename=" + ExportedDisk.file(folder),
                        "--blockdev",
                        "driver=file,node-name=log,filename=" + folder.resolve("log"),
                        "--blockdev",
                        "driver=blklogwrites,node-name=logged,file=disk,log=log,log-sector-size=" + SECTOR_BYTES),
                List.of(),
                "defaults");
    }

    /** Returns where it is mounted. */
    Path path() {
        return disk.path();
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
        ExportedDisk.sparse(image, Files.size(ExportedDisk.file(folder)));
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
            ExportedDisk.run("mount", "-o", "loop", image.toString(), path.toString());
        }

        Path path() {
            return path;
        }

        @Override
        public void close() throws IOException {
            ExportedDisk.run("umount", path.toString());
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
        disk.close();
    }
}
