package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.agent.metrics.AgentMetrics;
import dev.torpor.agent.qmp.QmpClient;
import java.time.Duration;
import java.util.List;
import java.util.Locale;

/** The metrics that show how things are, beside those that count what happened. */
final class AgentGauges {
    // One of each kind, for its name.
    private static final List<ImageState> STATES = List.of(
            new ImageState.Partial(),
            new ImageState.Complete(),
            new ImageState.Verified(),
            new ImageState.HandedOver(new ProcessIdentity("", "", "", 0, 0)),
            new ImageState.Consumed(),
            new ImageState.Stale());
    private static final double MILLIS_PER_SECOND = 1000;

    private AgentGauges() {}

    static void register(AgentMetrics metrics, Agent agent, StoreWatch store, StoreLease lease) {
        metrics.gauge("torpor.agent.saves.in.progress", "Saves that are under way", "", agent::savesInProgress);
        metrics.gauge("torpor.agent.saves.queued", "Saves that wait for others of this node", "", agent::savesQueued);
        metrics.gauge(
                "torpor.agent.work.queued",
                "Objects and pods that wait for the worker of their VM",
                "",
                agent::workQueued);
        metrics.gauge(
                "torpor.agent.store.free",
                "Bytes of the store's file system that may still be written",
                "bytes",
                store::freeBytes);
        metrics.gauge("torpor.agent.store.size", "Bytes of the store's file system", "bytes", store::sizeBytes);
        for (ImageState state : STATES) {
            String word = state.word().toLowerCase(Locale.ROOT);
            metrics.gauge(
                    "torpor.agent.images",
                    "Images in the store, by state",
                    "",
                    () -> store.images(state).count(),
                    "state",
                    word);
            metrics.gauge(
                    "torpor.agent.image",
                    "Bytes on the disk of the images in the store, by state",
                    "bytes",
                    () -> store.images(state).bytes(),
                    "state",
                    word);
        }
        metrics.gauge(
                "torpor.agent.lease.age",
                "Time since the store's Lease was renewed; the operator takes the store for lost at 40 s",
                "seconds",
                () -> seconds(lease.age()));
        metrics.counter(
                "torpor.agent.qmp.timeouts", "Times that a QEMU did not answer a command in time", QmpClient::timeouts);
    }

    private static double seconds(Duration duration) {
        return duration.toMillis() / MILLIS_PER_SECOND;
    }
}
