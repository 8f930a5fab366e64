package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.agent.logind.ShutdownInhibitor;
import dev.torpor.agent.metrics.AgentMetrics;
import dev.torpor.agent.qmp.QmpClient;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

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

    static void register(
            AgentMetrics metrics,
            Agent agent,
            StoreWatch store,
            StoreLease lease,
            Optional<ShutdownInhibitor> inhibitor) {
        metrics.gauge(
                "torpor.agent.node.shutdown.held",
                "1 if a shutdown of the node would wait for its VMs to be saved, 0 if not",
                "",
                () -> inhibitor.filter(ShutdownInhibitor::held).isPresent() ? 1 : 0);
        metrics.gauge(
                "torpor.agent.node.shutdown.wait",
                "Time that a shutdown of the node would wait for its VMs to be saved, as logind says",
                "seconds",
                () -> seconds(inhibitor.map(ShutdownInhibitor::delayMax).orElse(Duration.ZERO)));
        metrics.gauge(
                "torpor.agent.node.shutdown.needed",
                "Time that saving the VMs of the node would take, at the rate of the last save; NaN if that is not known",
                "seconds",
                () -> agent.nodeShutdown().map(NodeShutdown::neededSeconds).orElse(Double.NaN));
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
