package dev.torpor.e2e.cluster;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** Runs short programs of the machine. Blocks until they end. */
public final class Command {
    private Command() {}

    /** Runs a program that must succeed and returns its output. Throws an unchecked exception with the output if not. */
    public static String run(String... command) {
        Kubectl.Result result = tryRun(command);
        if (result.code() != 0) {
            throw new IllegalStateException(
                    String.join(" ", command) + " ended with " + result.code() + ":\n" + result.output());
        }
        return result.output();
    }

    /** Runs a program that may fail. */
    public static Kubectl.Result tryRun(String... command) {
        try {
            Process process = new ProcessBuilder(List.of(command))
                    .redirectErrorStream(true)
                    .start();
            process.getOutputStream().close();
            String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            return new Kubectl.Result(process.waitFor(), output);
        } catch (IOException e) {
            throw new UncheckedIOException("cannot run " + command[0], e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while waiting for " + command[0], e);
        }
    }
}
