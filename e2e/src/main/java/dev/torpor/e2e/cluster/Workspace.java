package dev.torpor.e2e.cluster;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentLinkedDeque;

/** A new directory and the processes that live in it: all are gone once it is closed. */
public final class Workspace implements AutoCloseable {
    private final Path directory;
    private final Deque<Child> children = new ConcurrentLinkedDeque<>();

    private Workspace(Path directory) {
        this.directory = directory;
    }

    /** Creates a directory below the JVM's temporary one. */
    public static Workspace create(String name) {
        try {
            Path directory = Files.createTempDirectory("torpor-" + name + "-");
            Files.createDirectory(directory.resolve("logs"));
            return new Workspace(directory);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    public Path directory() {
        return directory;
    }

    /** Returns the path of a file in the directory, which need not exist. */
    public Path file(String name) {
        return directory.resolve(name);
    }

    /** Starts a process with its log in {@code logs/<name>.log}. One of that name that has ended is taken over from. */
    public Child start(String name, Path program, String... arguments) {
        return start(name, Map.of(), program, arguments);
    }

    /** The same, with variables on top of this JVM's. */
    public Child start(String name, Map<String, String> environment, Path program, String... arguments) {
        List<String> command = new ArrayList<>();
        command.add(program.toString());
        command.addAll(List.of(arguments));
        Child child = Child.start(name, directory.resolve("logs/" + name + ".log"), environment, command);
        children.removeIf(
                before -> before.name().equals(name) && !before.process().isAlive());
        children.push(child);
        return child;
    }

    /** Throws an unchecked exception with the end of its log if any process has ended. */
    public void requireAllAlive() {
        children.forEach(Child::requireAlive);
    }

    /** Returns the ends of all logs, for a failure's report. */
    public String logTails(int lines) {
        StringBuilder text = new StringBuilder();
        for (Child child : children) {
            text.append("--- ")
                    .append(child.name())
                    .append('\n')
                    .append(child.logTail(lines))
                    .append('\n');
        }
        return text.toString();
    }

    /** Ends the processes, the last started first, and deletes the directory. */
    @Override
    public void close() {
        children.forEach(Child::close);
        try (var files = Files.walk(directory)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        } catch (IOException e) {
            throw new UncheckedIOException("cannot delete " + directory, e);
        }
    }
}
