package dev.torpor.e2e.cluster;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * The memory cgroup of a container on a {@link RealNode}, as the kernel counts it; of a pod with several containers the
 * one with the least limit. The container that holds the pod's namespaces is never meant: it has no limit either where the
 * others have none.
 */
public final class ContainerCgroup {
    private static final Pattern MAPPING = Pattern.compile("[0-9a-f]+-[0-9a-f]+ ");
    private static final Pattern ANONYMOUS = Pattern.compile("Anonymous: +(\\d+) kB");
    /** The program of {@link ContainerImages#PAUSE}. */
    private static final String PAUSE = "pause";

    private final Path folder;
    private final boolean unified;

    private ContainerCgroup(Path folder, boolean unified) {
        this.folder = folder;
        this.unified = unified;
    }

    /** Finds a pod's below the folder of the node's memory cgroup. */
    static ContainerCgroup of(Path node, String podUid) throws IOException {
        boolean unified = NodeCgroup.isUnified();
        return LiveTree.folders(node).stream()
                .filter(path -> path.toString().contains(podUid + "/"))
                .map(path -> new ContainerCgroup(path, unified))
                .filter(ContainerCgroup::isMeant)
                .min(Comparator.comparingLong(ContainerCgroup::limitBytes))
                .orElseThrow(() -> new IllegalStateException("no cgroup of pod " + podUid + " in " + node));
    }

    /** One that has ended, as those of init containers do, goes a moment later. */
    private boolean isMeant() {
        try {
            return read("cgroup.procs").findAny().isPresent() && !runs(PAUSE);
        } catch (UncheckedIOException e) {
            return false; // It went since it was seen.
        }
    }

    /** Returns the most that the container may use, page cache included. */
    public long limitBytes() {
        return number(unified ? "memory.max" : "memory.limit_in_bytes");
    }

    /** Returns the most that it has used, page cache included, since it was made or since {@link #resetPeak}. */
    public long peakBytes() {
        return number(unified ? "memory.peak" : "memory.max_usage_in_bytes");
    }

    /** Returns what it uses that is no file's. */
    public long anonymousBytes() {
        return entry("memory.stat", unified ? "anon" : "rss");
    }

    /** Returns what it uses of files' pages: those that it was the first to touch. */
    public long fileBytes() {
        return entry("memory.stat", unified ? "file" : "cache");
    }

    /** Tells whether a process of it runs a program, by its name in the process table (15 characters at most). */
    public boolean runs(String program) {
        return read("cgroup.procs").anyMatch(pid -> {
            try {
                return Files.readString(Path.of("/proc", pid, "comm")).strip().equals(program);
            } catch (IOException e) {
                return false; // It has ended.
            }
        });
    }

    /** Returns how often it reached the limit, so that the kernel had to make room. */
    public long limitHits() {
        return unified ? entry("memory.events", "max") : number("memory.failcnt");
    }

    /** Has the peak begin at what is used now, where the kernel can do that. */
    public void resetPeak() throws IOException {
        if (!unified) {
            Files.writeString(folder.resolve("memory.max_usage_in_bytes"), "0");
            Files.writeString(folder.resolve("memory.failcnt"), "0");
        }
    }

    /** Tells its processes with the parts of their anonymous memory that are bigger than 1 MiB. */
    public String processes() {
        return read("cgroup.procs").map(ContainerCgroup::process).collect(Collectors.joining("\n"));
    }

    private static String process(String pid) {
        try {
            StringBuilder told = new StringBuilder("process " + pid + ":");
            String mapping = "";
            for (String line : Files.readAllLines(Path.of("/proc", pid, "smaps"))) {
                Matcher anonymous = ANONYMOUS.matcher(line);
                if (anonymous.matches()) {
                    long kib = Long.parseLong(anonymous.group(1));
                    if (kib >= 1024) {
                        told.append("\n  ").append(kib / 1024).append(" MiB ").append(mapping);
                    }
                } else if (MAPPING.matcher(line).lookingAt()) {
                    mapping = line;
                }
            }
            return told.toString();
        } catch (IOException e) {
            return "process " + pid + " has ended";
        }
    }

    /** Kills the container's processes, as the kernel does when memory runs out. */
    public void kill() {
        read("cgroup.procs").map(Long::parseLong).forEach(pid -> ProcessHandle.of(pid)
                .ifPresent(ProcessHandle::destroyForcibly));
    }

    /** Stops the container's processes where they are, until they are killed. */
    public void freeze() {
        read("cgroup.procs").forEach(pid -> Command.run("kill", "-STOP", pid));
    }

    /** Returns the text of a file as the container sees it. */
    public String read(Path file) throws IOException {
        String pid = read("cgroup.procs").findFirst().orElseThrow();
        return Files.readString(Path.of("/proc", pid, "root", file.toString()));
    }

    private long entry(String file, String key) {
        return read(file)
                .filter(line -> line.startsWith(key + " "))
                .map(line -> Long.parseLong(line.substring(key.length() + 1)))
                .findFirst()
                .orElseThrow();
    }

    private long number(String file) {
        String text = read(file).findFirst().orElseThrow();
        return "max".equals(text) ? Long.MAX_VALUE : Long.parseLong(text);
    }

    private Stream<String> read(String file) {
        try {
            List<String> lines = Files.readAllLines(folder.resolve(file));
            return lines.stream();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
