package dev.torpor.e2e.cluster;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;

/**
 * A process that must not outlive its owner: ended by {@link #close}, or by a shutdown hook of this JVM. Its output
 * goes to a log file.
 */
public final class Child implements AutoCloseable {
    /** How long a process may take to end by itself after SIGTERM. */
    private static final Duration GRACE = Duration.ofSeconds(5);

    private static final Set<Child> LIVE = ConcurrentHashMap.newKeySet();

    static {
        Runtime.getRuntime()
                .addShutdownHook(
                        new Thread(() -> LIVE.forEach(child -> child.process.destroyForcibly()), "kill-children"));
    }

    private final String name;
    private final Path log;
    private final Process process;

    private Child(String name, Path log, Process process) {
        this.name = name;
        this.log = log;
        this.process = process;
    }

    /**
     * Starts a process.
     *
     * @param name for messages
     * @param log file that gets its output; appended to
     * @param environment variables on top of this JVM's
     * @param command program and arguments
     */
    public static Child start(String name, Path log, Map<String, String> environment, List<String> command) {
        ProcessBuilder builder = new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()))
                .redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile()));
        builder.environment().putAll(environment);
        try {
            Child child = new Child(name, log, builder.start());
            LIVE.add(child);
            return child;
        } catch (IOException e) {
            throw new UncheckedIOException("cannot start " + name, e);
        }
    }

    public String name() {
        return name;
    }

    public Path log() {
        return log;
    }

    public Process process() {
        return process;
    }

    /** Throws an unchecked exception with the end of the log if the process has ended. */
    public void requireAlive() {
        if (!process.isAlive()) {
            throw new IllegalStateException(
                    name + " ended with " + process.exitValue() + "; the end of " + log + ":\n" + logTail(30));
        }
    }

    /** Returns the last lines of the log. */
    public String logTail(int lines) {
        try {
            List<String> all = new ArrayList<>(Files.readAllLines(log));
            return String.join("\n", all.subList(Math.max(0, all.size() - lines), all.size()));
        } catch (IOException e) {
            return "(" + log + " cannot be read: " + e.getMessage() + ")";
        }
    }

    /** Ends the process with SIGKILL and waits for it: a crash, as tests want it. */
    public void kill() {
        process.destroyForcibly();
        awaitEnd(GRACE);
    }

    /** Ends the process, with SIGKILL if SIGTERM is not enough within 5 s. Idempotent. */
    @Override
    public void close() {
        end(GRACE);
    }

    /** The same, with a grace period of the caller's. */
    public void end(Duration grace) {
        process.destroy();
        awaitEnd(grace);
    }

    private void awaitEnd(Duration grace) {
        try {
            if (!process.waitFor(grace.toMillis(), TimeUnit.MILLISECONDS)) {
                process.destroyForcibly().waitFor();
            }
            LIVE.remove(this);
        } catch (InterruptedException e) {
            // The hook still has it.
            process.destroyForcibly();
            Thread.currentThread().interrupt();
        }
    }
}
