package dev.torpor.e2e.demo;

import dev.torpor.e2e.cluster.Kubectl;
import java.io.BufferedReader;
import java.io.IOException;
import java.util.function.Consumer;

/** Shows the lines of {@code kubectl get -w} while something else goes on. */
final class Watch implements AutoCloseable {
    private final Process process;
    private final Thread reader;
    private volatile boolean closed;

    Watch(Kubectl kubectl, Consumer<String> show, String... arguments) {
        this.process = kubectl.start(arguments);
        this.reader = new Thread(() -> read(show), "watch");
        reader.setDaemon(true);
        reader.start();
    }

    private void read(Consumer<String> show) {
        try (BufferedReader lines = process.inputReader()) {
            lines.lines().forEach(show);
        } catch (IOException | RuntimeException e) {
            // Destroying the process closes its output under the reader.
            if (!closed) {
                show.accept("(the watch ended: " + e.getMessage() + ")");
            }
        }
    }

    @Override
    public void close() {
        closed = true;
        process.destroy();
    }
}
