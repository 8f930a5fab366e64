package dev.torpor.agent.linux;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Set;

/** Facts of processes and of this boot, from proc(5). */
public final class Proc {
    private static final Path BOOT_ID = Path.of("/proc/sys/kernel/random/boot_id");
    // x86-64 has no other.
    private static final long PAGE_BYTES = 4096;
    private static final String OPEN_FILES = "Max open files";

    private Proc() {}

    /** Returns the identity of the kernel's current boot. */
    public static String bootId() throws IOException {
        return Files.readString(BOOT_ID).strip();
    }

    /**
     * Returns when a process was started, in clock ticks since boot (field 22 of /proc/PID/stat): with the pid it names
     * one process of this boot. Empty if there is no such process.
     */
    public static OptionalLong startTicks(int pid) throws IOException {
        try {
            String stat = Files.readString(of(pid, "stat"));
            // The second field is the command in parentheses and may hold blanks: count from behind the last one.
            String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1);
            return OptionalLong.of(Long.parseLong(fields[22 - 3]));
        } catch (NoSuchFileException e) {
            return OptionalLong.empty();
        }
    }

    /** Returns how much memory a process has in RAM, huge pages of hugetlbfs not counted (second field of /proc/PID/statm). */
    public static long residentBytes(int pid) throws IOException {
        return Long.parseLong(Files.readString(of(pid, "statm")).split(" ", -1)[1]) * PAGE_BYTES;
    }

    /** Returns the lines of /proc/PID/cgroup: the process's place in each hierarchy. */
    public static List<String> cgroups(int pid) throws IOException {
        return Files.readAllLines(of(pid, "cgroup"));
    }

    /** Returns how many descriptors a process may have open (the soft limit). */
    public static long openFilesLimit(int pid) throws IOException {
        for (String line : Files.readAllLines(of(pid, "limits"))) {
            if (line.startsWith(OPEN_FILES)) {
                String soft = line.substring(OPEN_FILES.length()).strip().split(" +", -1)[0];
                return soft.equals("unlimited") ? Long.MAX_VALUE : Long.parseLong(soft);
            }
        }
        throw new IOException("no line '" + OPEN_FILES + "' in the limits of process " + pid);
    }

    /** Returns how many descriptors a process has open. */
    public static int openFiles(int pid) throws IOException {
        int n = 0;
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(of(pid, "fd"))) {
            for (Path _ : entries) {
                n++;
            }
        }
        return n;
    }

    /**
     * What stat(2) tells of a file that a process has open.
     *
     * @param regular whether it is a regular file
     * @param sizeBytes its length; of a device not its size
     * @param modifiedAt when it was last written to
     */
    public record OpenFile(boolean regular, long sizeBytes, Instant modifiedAt) {}

    /**
     * Finds open files of a process by the names under which the process sees them now (proc(5), /proc/PID/fd). They are the very
     * files that are open: no path is walked, nothing is opened, and a name that has become another file's does not count.
     *
     * @return those that were found, by name
     */
    public static Map<String, OpenFile> openFiles(int pid, Set<String> names) throws IOException {
        Map<String, OpenFile> found = new HashMap<>();
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(of(pid, "fd"))) {
            for (Path entry : entries) {
                try {
                    String name = Files.readSymbolicLink(entry).toString();
                    if (names.contains(name) && !found.containsKey(name)) {
                        BasicFileAttributes facts = Files.readAttributes(entry, BasicFileAttributes.class);
                        found.put(
                                name,
                                new OpenFile(
                                        facts.isRegularFile(),
                                        facts.size(),
                                        facts.lastModifiedTime().toInstant()));
                    }
                } catch (NoSuchFileException e) {
                    // closed meanwhile
                }
            }
        }
        return found;
    }

    private static Path of(int pid, String name) {
        return Path.of("/proc", Integer.toString(pid), name);
    }
}
