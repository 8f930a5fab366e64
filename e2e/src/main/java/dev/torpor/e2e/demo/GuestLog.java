package dev.torpor.e2e.demo;

import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.cluster.Kubectl;
import dev.torpor.e2e.guest.Tick;
import java.io.BufferedReader;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** Follows {@code kubectl logs -f} of a VM's pod from its beginning to its end. */
final class GuestLog implements AutoCloseable {
    private static final Duration PATIENCE = Duration.ofMinutes(3);
    private static final long RETRY_MILLIS = 200;
    private static final Pattern REFUSED = Pattern.compile("^(error: )?error from server", Pattern.CASE_INSENSITIVE);

    private final Kubectl kubectl;
    private final String namespace;
    private final String pod;
    private final Consumer<String> show;
    private final List<Tick> ticks = new CopyOnWriteArrayList<>();
    private final Thread reader;
    private volatile boolean closed;
    private volatile @Nullable Process process;

    private GuestLog(Kubectl kubectl, String namespace, String pod, Consumer<String> show) {
        this.kubectl = kubectl;
        this.namespace = namespace;
        this.pod = pod;
        this.show = show;
        this.reader = new Thread(this::follow, "logs of " + pod);
        reader.setDaemon(true);
    }

    /**
     * Begins to follow a pod, which need not be there yet.
     *
     * @param show gets each line
     */
    static GuestLog follow(Kubectl kubectl, String namespace, String pod, Consumer<String> show) {
        GuestLog log = new GuestLog(kubectl, namespace, pod, show);
        log.reader.start();
        return log;
    }

    /** Returns the ticks so far. */
    List<Tick> ticks() {
        return List.copyOf(ticks);
    }

    /** Waits for this many ticks. */
    void awaitTicks(int count) {
        await("ticks of the guest").atMost(PATIENCE).until(() -> ticks.size() >= count);
    }

    private void follow() {
        try {
            // Until the container runs, kubectl refuses.
            while (!closed && ticks.isEmpty()) {
                read(kubectl.start("logs", "-f", "-n", namespace, pod, "-c", "qemu"));
                TimeUnit.MILLISECONDS.sleep(RETRY_MILLIS);
            }
        } catch (IOException e) {
            show.accept("(the log ended: " + e.getMessage() + ")");
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void read(Process logs) throws IOException {
        process = logs;
        if (closed) {
            logs.destroy();
        }
        try (BufferedReader lines = logs.inputReader()) {
            for (String line = lines.readLine(); line != null && !closed; line = lines.readLine()) {
                if (!line.isBlank() && !REFUSED.matcher(line).find()) {
                    show.accept(line.strip());
                }
                Tick.parse(line).ifPresent(ticks::add);
            }
        }
    }

    /** Waits until the log has ended with its pod. */
    void awaitEnd() throws InterruptedException {
        reader.join(PATIENCE);
    }

    /** Ends it, wherever it is. */
    @Override
    public void close() {
        closed = true;
        Process logs = process;
        if (logs != null) {
            logs.destroy();
        }
    }
}
