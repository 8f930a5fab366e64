package dev.torpor.e2e.guest;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Predicate;

/**
 * A QEMU with a monitor and a serial log, for tests. Its files are in a folder of the caller's; killed when closed, and
 * with the JVM.
 */
public final class QemuProcess implements AutoCloseable {
    private static final AtomicInteger COUNT = new AtomicInteger();
    // TCG on a loaded machine with two cores: a boot takes 2 to 10 s.
    private static final Duration PATIENCE = Duration.ofMinutes(2);

    private final Process process;
    private final Path socket;
    private final Path serial;
    private final Path stderr;

    private QemuProcess(Process process, Path socket, Path serial, Path stderr) {
        this.process = process;
        this.socket = socket;
        this.serial = serial;
        this.stderr = stderr;
    }

    /**
     * Starts QEMU and waits for its monitor's socket.
     *
     * @param folder where socket and logs go; its path must be short enough for a socket
     * @param arguments all but monitor and serial port
     */
    public static QemuProcess start(Path folder, List<String> arguments) throws IOException {
        return start("qemu-system-x86_64", folder, arguments);
    }

    /** Starts another QEMU than the installed one; otherwise like {@link #start(Path, List)}. */
    public static QemuProcess start(String program, Path folder, List<String> arguments) throws IOException {
        int number = COUNT.incrementAndGet();
        Path socket = folder.resolve("qmp" + number + ".sock");
        Path serial = folder.resolve("serial" + number + ".log");
        Path stderr = folder.resolve("stderr" + number + ".log");
        List<String> command = new ArrayList<>();
        command.add(program);
        command.addAll(arguments);
        command.addAll(List.of("-serial", "file:" + serial, "-qmp", "unix:" + socket + ",server=on,wait=off"));
        Process process = new ProcessBuilder(command)
                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .redirectError(stderr.toFile())
                .start();
        Runtime.getRuntime().addShutdownHook(new Thread(process::destroyForcibly));
        QemuProcess qemu = new QemuProcess(process, socket, serial, stderr);
        qemu.await("its monitor", () -> listens(socket));
        return qemu;
    }

    // The socket's file is there a moment before anybody listens on it. Connecting to find out would take the monitor's
    // only place, so the kernel is asked: the fourth field of /proc/net/unix is __SO_ACCEPTCON for a listening socket.
    private static boolean listens(Path socket) throws IOException {
        return Files.readAllLines(Path.of("/proc/net/unix")).stream()
                .anyMatch(line -> line.endsWith(" " + socket) && line.split(" +", -1)[3].equals("00010000"));
    }

    /** Starts the tests' guest. */
    public static QemuProcess startGuest(Path folder, int memoryMiB, int fillMiB, String... more) throws IOException {
        List<String> arguments = new ArrayList<>(GuestImage.get().arguments(memoryMiB, fillMiB));
        arguments.addAll(List.of(more));
        return start(folder, arguments);
    }

    /** Returns the path of the monitor's socket. */
    public Path socket() {
        return socket;
    }

    /** Returns the process id. */
    public int pid() {
        return (int) process.pid();
    }

    /** Tells whether the process is there. */
    public boolean alive() {
        return process.isAlive();
    }

    /** Returns the guest's whole lines so far. */
    public List<Tick> ticks() throws IOException {
        if (!Files.exists(serial)) {
            return List.of();
        }
        return Files.readString(serial, StandardCharsets.ISO_8859_1)
                .lines()
                .map(Tick::parse)
                .flatMap(Optional::stream)
                .toList();
    }

    /** Returns the guest's latest whole line. */
    public Optional<Tick> lastTick() throws IOException {
        List<Tick> ticks = ticks();
        return ticks.isEmpty() ? Optional.empty() : Optional.of(ticks.getLast());
    }

    /** Waits for a tick that the test wants to see, and returns it. */
    public Tick awaitTick(Predicate<Tick> wanted) throws IOException {
        AtomicReference<Tick> found = new AtomicReference<>();
        await("a tick", () -> {
            Optional<Tick> tick = lastTick().filter(wanted);
            tick.ifPresent(found::set);
            return tick.isPresent();
        });
        return Objects.requireNonNull(found.get());
    }

    /** Waits for the process to end by itself. */
    public void awaitExit() throws IOException {
        await("its end", () -> !process.isAlive());
    }

    /** Kills the process as the kernel would, and waits until it is gone. */
    public void kill() {
        process.destroyForcibly();
        try {
            process.waitFor();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** Returns what QEMU wrote to its standard error. */
    public String errors() throws IOException {
        return Files.readString(stderr, StandardCharsets.ISO_8859_1);
    }

    @Override
    public void close() {
        kill();
    }

    private interface Condition {
        boolean holds() throws IOException;
    }

    private void await(String what, Condition condition) throws IOException {
        long end = System.nanoTime() + PATIENCE.toNanos();
        boolean alive = true;
        while (!condition.holds()) {
            if (!alive || System.nanoTime() > end) {
                throw new IllegalStateException("waited in vain for " + what + " of QEMU " + pid()
                        + (alive ? "" : ", which has ended") + "; stderr: " + errors() + "; last tick: " + lastTick());
            }
            alive = process.isAlive(); // one more look at the condition after the end
            try {
                TimeUnit.MILLISECONDS.sleep(20);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IllegalStateException("interrupted while waiting for " + what, e);
            }
        }
    }
}
