package dev.torpor.e2e.qemu;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * A file system of its own, mounted for one test; the tests are root.
 *
 * @param path where it is mounted
 */
record MountedFolder(Path path) implements AutoCloseable {
    /** A small disk in memory; takes O_DIRECT since Linux 6.6. */
    static MountedFolder tmpfs(Path path, int sizeMiB) throws IOException {
        return mount(path, "tmpfs", "size=" + sizeMiB + "M");
    }

    /** The same of pages of 2 MiB, as a disk in memory of NVDIMMs or a file system with DAX has them. */
    static MountedFolder hugeTmpfs(Path path, int sizeMiB) throws IOException {
        return mount(path, "tmpfs", "huge=always,size=" + sizeMiB + "M");
    }

    /** Refuses O_DIRECT, and says that it has no room although it has. */
    static MountedFolder ramfs(Path path) throws IOException {
        return mount(path, "ramfs", "mode=0700");
    }

    private static MountedFolder mount(Path path, String type, String options) throws IOException {
        Files.createDirectory(path);
        run("mount", "-t", type, "-o", options, "torpor-test", path.toString());
        return new MountedFolder(path);
    }

    @Override
    public void close() throws IOException {
        run("umount", path.toString());
    }

    private static void run(String... command) throws IOException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        int code = process.onExit().join().exitValue();
        if (code != 0) {
            throw new IOException(String.join(" ", command) + ": " + output);
        }
    }
}
