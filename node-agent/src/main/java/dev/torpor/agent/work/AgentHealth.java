package dev.torpor.agent.work;

import dev.torpor.telemetry.http.Health;
import io.fabric8.kubernetes.client.informers.SharedIndexInformer;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/** What an agent's probes mean. Alive: starting it anew would not help. Ready: its node's VMs are saved and started. */
final class AgentHealth {
    // The scan runs five times a second; it may wait for a disk, and for the threads that it shares with others.
    private static final Duration SCAN_STALE = Duration.ofSeconds(60);

    private volatile long scannedNanos = System.nanoTime();
    private volatile List<SharedIndexInformer<?>> informers = List.of();

    /** The scan for launchers was done. */
    void scanned() {
        scannedNanos = System.nanoTime();
    }

    /** The informers are started. */
    void watching(List<SharedIndexInformer<?>> started) {
        informers = List.copyOf(started);
    }

    Health live(Agent agent) {
        return new Health().with("workers", agent::brokenWorker).with("scan", this::scan);
    }

    Health ready(Agent agent, StoreWatch store, StoreLease lease) {
        return new Health()
                .with("store", store::problem)
                .with("lease", lease::problem)
                .with("informers", this::unsynced)
                .with("serving", () -> agent.ending() ? Optional.of("told to end") : Optional.empty());
    }

    private Optional<String> scan() {
        Duration age = Duration.ofNanos(System.nanoTime() - scannedNanos);
        return age.compareTo(SCAN_STALE) > 0
                ? Optional.of("launchers have not been looked for since " + age.toSeconds() + " s")
                : Optional.empty();
    }

    private Optional<String> unsynced() {
        List<SharedIndexInformer<?>> all = informers;
        if (all.isEmpty()) {
            return Optional.of("not started");
        }
        List<String> missing = all.stream()
                .filter(informer -> !informer.hasSynced() || !informer.isRunning())
                .map(informer -> informer.getApiTypeClass().getSimpleName())
                .toList();
        return missing.isEmpty() ? Optional.empty() : Optional.of("not synced: " + String.join(", ", missing));
    }
}
