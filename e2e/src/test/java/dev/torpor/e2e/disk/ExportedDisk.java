package dev.torpor.e2e.disk;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.awaitility.Awaitility;

/**
 * A mounted ext4 whose disk is what QEMU's storage daemon makes of a file: it exports that over FUSE, and a loop device on the
 * export is the disk. The tests are root.
 */
public final class ExportedDisk implements AutoCloseable {
    private final Path folder;
    private final Process daemon;
    private final String device;

    /**
     * Starts the daemon and mounts.
     *
     * @param folder made here; {@link #file} is in it
     * @param sizeMiB of the disk
     * @param top name of the block node that is exported
     * @param arguments for the daemon; its block nodes are made of {@link #file}
     * @param mkfs more arguments for mkfs.ext4
     * @param mountOptions for mount(8)
     */
    public ExportedDisk(
            Path folder, int sizeMiB, String top, List<String> arguments, List<String> mkfs, String mountOptions)
            throws IOException {
        this.folder = Files.createDirectories(folder);
        sparse(file(folder), (long) sizeMiB << 20);
        Path export = Files.createFile(folder.resolve("export"));
        List<String> command = new ArrayList<>(List.of("qemu-storage-daemon"));
        command.addAll(arguments);
        command.addAll(
                List.of("--export", "type=fuse,id=export,node-name=" + top + ",writable=on,mountpoint=" + export));
        daemon = new ProcessBuilder(command).inheritIO().start();
        Awaitility.await().atMost(Duration.ofSeconds(90)).until(() -> Files.size(export) > 0);
        device = run("losetup", "-f", "--show", export.toString()).strip();
        List<String> make = new ArrayList<>(List.of("mkfs.ext4", "-q"));
        make.addAll(mkfs);
        make.add(device);
        run(make.toArray(String[]::new));
        Files.createDirectory(path());
        run("mount", "-o", mountOptions, device, path().toString());
    }

    /** Returns the file that holds a disk's bytes. */
    public static Path file(Path folder) {
        return folder.resolve("disk");
    }

    /** Returns where it is mounted. */
    public Path path() {
        return folder.resolve("mounted");
    }

    /** Returns the block device. */
    public String device() {
        return device;
    }

    /** Returns the process without which the disk does not answer. */
    public Process daemon() {
        return daemon;
    }

    /** Makes a file of holes. */
    public static void sparse(Path file, long bytes) throws IOException {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
            channel.write(ByteBuffer.allocate(1), bytes - 1);
        }
    }

    @Override
    public void close() throws IOException {
        run("umount", path().toString());
        run("losetup", "-d", device);
        daemon.destroy();
        daemon.onExit().join();
    }

    /** Runs a command to its end, and returns what it writes. */
    public static String run(String... command) throws IOException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        int code = process.onExit().join().exitValue();
        if (code != 0) {
            throw new IOException(String.join(" ", command) + ": " + output);
        }
        return output;
    }
}
