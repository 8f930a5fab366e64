package dev.torpor.e2e.cluster;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Runs {@code kubectl} as one user of one cluster, as a person would. Blocks until it ends. */
public final class Kubectl {
    private final Path binary;
    private final Path kubeconfig;

    public Kubectl(Path binary, Path kubeconfig) {
        this.binary = binary;
        this.kubeconfig = kubeconfig;
    }

    /**
     * How one run ended.
     *
     * @param code exit code
     * @param output standard output and error, in the order in which they came
     */
    public record Result(int code, String output) {}

    /** Runs a command that must succeed and returns its output. Throws an unchecked exception with the output if not. */
    public String run(String... arguments) {
        return runWithInput("", arguments);
    }

    /** The same, with a text on standard input (for {@code apply -f -}). */
    public String runWithInput(String input, String... arguments) {
        Result result = tryWithInput(input, arguments);
        if (result.code() != 0) {
            throw new IllegalStateException("kubectl " + String.join(" ", arguments) + " ended with " + result.code()
                    + ":\n" + result.output());
        }
        return result.output();
    }

    /** Runs a command that may fail. */
    public Result tryRun(String... arguments) {
        return tryWithInput("", arguments);
    }

    /** Runs a command that may fail, with a text on standard input. */
    public Result tryWithInput(String input, String... arguments) {
        try {
            Process process = start(arguments);
            try (var stdin = process.getOutputStream()) {
                stdin.write(input.getBytes(StandardCharsets.UTF_8));
            }
            String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            return new Result(process.waitFor(), output);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while waiting for kubectl", e);
        }
    }

    /** Starts a command that goes on, such as a watch; the caller reads its output and destroys it. */
    public Process start(String... arguments) {
        List<String> command = new ArrayList<>();
        command.add(binary.toString());
        command.add("--kubeconfig=" + kubeconfig);
        command.addAll(List.of(arguments));
        try {
            return new ProcessBuilder(command).redirectErrorStream(true).start();
        } catch (IOException e) {
            throw new UncheckedIOException("cannot start kubectl", e);
        }
    }
}
