package dev.torpor.e2e.bench;

import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpLimits;
import dev.torpor.agent.qmp.SocketWait;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** A QEMU without a guest of its own; its RAM is what is measured. */
final class BenchVm implements AutoCloseable {
    private static final Duration PATIENCE = Duration.ofSeconds(60);
    // A VM that takes all its memory at its start answers once it has it, and the host may take its time.
    private static final Duration ANSWER_PATIENCE = Duration.ofMinutes(5);
    private static final QmpLimits LIMITS = new QmpLimits(
            QmpLimits.DEFAULT.greeting(),
            ANSWER_PATIENCE,
            QmpLimits.DEFAULT.lineBytesMax(),
            QmpLimits.DEFAULT.depthMax(),
            QmpLimits.DEFAULT.tokensMax(),
            QmpLimits.DEFAULT.eventsMax(),
            QmpLimits.DEFAULT.messagesPerCommandMax());

    private final Process process;
    private final Path socket;

    private BenchVm(Process process, Path socket) {
        this.process = process;
        this.socket = socket;
    }

    /** Starts a VM whose RAM is a private mapping of the file: prefilled, and written to by nobody else. */
    static BenchVm prefilled(Path directory, Path ram, long bytes) throws IOException {
        return start(
                directory.resolve("source.sock"),
                "q35,memory-backend=pc.ram",
                bytes,
                List.of("-object", "memory-backend-file,id=pc.ram,share=off,mem-path=" + ram + ",size=" + bytes, "-S"));
    }

    /** Starts a VM that waits to be fed. */
    static BenchVm incoming(Path directory, long bytes) throws IOException {
        return incoming(directory, bytes, List.of());
    }

    /** Starts a VM that waits to be fed, and takes all its RAM before it answers anything but its monitor's greeting. */
    static BenchVm incomingWithMemory(Path directory, long bytes) throws IOException {
        return incoming(directory, bytes, List.of("-mem-prealloc"));
    }

    /** Starts a VM that waits to be fed, and is told more. */
    static BenchVm incoming(Path directory, long bytes, List<String> more) throws IOException {
        List<String> all = new ArrayList<>(more);
        all.addAll(List.of("-incoming", "defer"));
        return start(directory.resolve("target.sock"), "q35", bytes, all);
    }

    /** Starts a VM that runs its firmware. */
    static BenchVm bare(Path directory, long bytes) throws IOException {
        return start(directory.resolve("bare.sock"), "q35", bytes, List.of());
    }

    private static BenchVm start(Path socket, String machine, long bytes, List<String> more) throws IOException {
        Files.deleteIfExists(socket);
        List<String> command = new ArrayList<>(List.of(
                "qemu-system-x86_64",
                "-accel",
                "tcg",
                "-machine",
                machine,
                "-m",
                bytes / (1 << 20) + "M",
                "-nodefaults",
                "-display",
                "none",
                "-qmp",
                "unix:" + socket + ",server=on,wait=off"));
        command.addAll(more);
        Process process = new ProcessBuilder(command).inheritIO().start();
        return new BenchVm(process, socket);
    }

    /** Returns the CPU time of its process so far. */
    Duration cpu() {
        return process.toHandle().info().totalCpuDuration().orElse(Duration.ZERO);
    }

    /** Connects as soon as QEMU listens. */
    QmpClient connect() throws TorporException {
        return SocketWait.connect(PATIENCE, () -> {
            try {
                return QmpClient.connect(socket, LIMITS);
            } catch (TorporException e) {
                if (!process.isAlive()) {
                    throw new TorporException(FailureReason.QEMUGone, "QEMU did not start", e);
                }
                throw e;
            }
        });
    }

    @Override
    public void close() {
        process.destroyForcibly();
        boolean interrupted = false;
        while (true) {
            try {
                process.waitFor();
                break;
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
