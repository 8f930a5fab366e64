package dev.torpor.e2e.standin;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A file system in memory, mounted on a new directory for as long as this is open. */
record Mount(Path directory) implements AutoCloseable {
    /** One with a limit. */
    static Mount tmpfs(int mib) throws IOException, InterruptedException {
        return mount("tmpfs", "size=" + mib + "m");
    }

    /** One without O_DIRECT, which says of its size that it has none. */
    static Mount ramfs() throws IOException, InterruptedException {
        return mount("ramfs", "mode=0700");
    }

    private static Mount mount(String type, String options) throws IOException, InterruptedException {
        Path directory = Files.createTempDirectory("torpor-" + type + "-");
        run("mount", "-t", type, "-o", options, "torpor-test", directory.toString());
        return new Mount(directory);
    }

    @Override
    public void close() throws IOException {
        try {
            run("umount", "--lazy", directory.toString());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        Files.delete(directory);
    }

    private static void run(String... command) throws IOException, InterruptedException {
        int code = new ProcessBuilder(new ArrayList<>(List.of(command)))
                .inheritIO()
                .start()
                .waitFor();
        if (code != 0) {
            throw new IOException(String.join(" ", command) + " ended with " + code);
        }
    }
}
