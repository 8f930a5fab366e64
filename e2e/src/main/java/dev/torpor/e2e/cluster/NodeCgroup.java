package dev.torpor.e2e.cluster;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/**
 * A cgroup of a node's own, below which its kubelet keeps pods: one folder in the unified hierarchy (cgroup v2), or one
 * in each controller's (v1).
 */
final class NodeCgroup implements AutoCloseable {
    private static final Path ROOT = Path.of("/sys/fs/cgroup");
    private static final String CONTROLLERS = "cgroup.controllers";
    private static final int ATTEMPTS = 50;

    private final String name;
    private final List<Path> folders;

    private NodeCgroup(String name, List<Path> folders) {
        this.name = name;
        this.folders = folders;
    }

    /** Creates it with all controllers that the machine has. */
    static NodeCgroup create(String name) throws IOException {
        List<Path> folders = new ArrayList<>();
        NodeCgroup cgroup = new NodeCgroup(name, folders);
        if (isUnified()) {
            delegate(ROOT);
            folders.add(Files.createDirectory(ROOT.resolve(name)));
            delegate(ROOT.resolve(name));
            return cgroup;
        }
        try (Stream<Path> hierarchies = Files.list(ROOT)) {
            // Links such as cpu,cpuacct point to a hierarchy that is here under its own name too.
            for (Path hierarchy :
                    hierarchies.filter(path -> !Files.isSymbolicLink(path)).toList()) {
                Path folder = Files.createDirectory(hierarchy.resolve(name));
                folders.add(folder);
                inherit(hierarchy, folder, "cpuset.cpus");
                inherit(hierarchy, folder, "cpuset.mems");
            }
        }
        return cgroup;
    }

    /** Tells whether the machine has cgroup v2 alone. */
    static boolean isUnified() {
        return Files.exists(ROOT.resolve(CONTROLLERS));
    }

    /** Returns the path that kubelets name it by. */
    String path() {
        return "/" + name;
    }

    /** Returns the folder that memory is counted in. */
    Path memory() {
        return isUnified() ? ROOT.resolve(name) : ROOT.resolve("memory").resolve(name);
    }

    /** Kills the processes in it and removes what is below it. */
    void empty() throws IOException {
        for (Path folder : folders) {
            for (Path each : deepestFirst(folder)) {
                if (!each.equals(folder)) {
                    remove(each);
                }
            }
        }
    }

    /** Kills the processes that are left in it and removes it. */
    @Override
    public void close() {
        try {
            for (Path folder : folders) {
                for (Path each : deepestFirst(folder)) {
                    remove(each);
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static List<Path> deepestFirst(Path folder) throws IOException {
        return LiveTree.folders(folder).reversed();
    }

    /** A killed process leaves its cgroup a moment later, hence the attempts. */
    private static void remove(Path folder) throws IOException {
        for (int attempt = 1; ; attempt++) {
            try {
                for (String pid : Files.readAllLines(folder.resolve("cgroup.procs"))) {
                    ProcessHandle.of(Long.parseLong(pid)).ifPresent(ProcessHandle::destroyForcibly);
                }
                Files.deleteIfExists(folder);
                return;
            } catch (NoSuchFileException e) {
                return; // What ended its container was quicker.
            } catch (IOException e) {
                if (attempt == ATTEMPTS) {
                    throw e;
                }
                Pause.milliseconds(100);
            }
        }
    }

    private static void delegate(Path folder) throws IOException {
        Path control = folder.resolve("cgroup.subtree_control");
        for (String controller :
                Files.readString(folder.resolve(CONTROLLERS)).strip().split(" ", -1)) {
            Files.writeString(control, "+" + controller);
        }
    }

    private static void inherit(Path parent, Path child, String setting) throws IOException {
        if (Files.exists(child.resolve(setting))) {
            Files.writeString(child.resolve(setting), Files.readString(parent.resolve(setting)));
        }
    }
}
