package dev.torpor.operator;

import dev.torpor.api.status.ApplyStatusWriter;
import dev.torpor.api.v1alpha1.RestorePhase;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMRestoreStatus;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.operator.drain.BudgetReconciler;
import dev.torpor.operator.drain.NodeReconciler;
import dev.torpor.operator.event.EventRecorder;
import dev.torpor.operator.gate.GateReconciler;
import dev.torpor.operator.metrics.ObjectCount;
import dev.torpor.operator.metrics.OperatorMetrics;
import dev.torpor.operator.restore.RestoreReconciler;
import dev.torpor.operator.scaledown.ScaleDownReconciler;
import dev.torpor.operator.snapshot.SnapshotReconciler;
import dev.torpor.operator.snapshot.TerminationReconciler;
import dev.torpor.operator.step.StepHook;
import dev.torpor.operator.vm.AdmissionLock;
import dev.torpor.operator.vm.Stores;
import dev.torpor.operator.webhook.Webhook;
import dev.torpor.telemetry.http.Health;
import dev.torpor.telemetry.http.HttpEndpoint;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.javaoperatorsdk.operator.Operator;
import io.javaoperatorsdk.operator.RegisteredController;
import io.javaoperatorsdk.operator.monitoring.micrometer.MicrometerMetrics;
import io.javaoperatorsdk.operator.processing.Controller;
import io.javaoperatorsdk.operator.processing.retry.GenericRetry;
import java.io.IOException;
import java.time.Duration;
import java.time.InstantSource;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The controllers, their leadership, and the webhook, which needs none; wired together. */
final class OperatorProcess implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(OperatorProcess.class);
    /** A step is a handful of API calls; none is waited for longer at the end. */
    private static final Duration LAST_STEPS = Duration.ofSeconds(5);

    private static final int THREADS = 8;
    private static final Duration RETRY_FIRST = Duration.ofSeconds(1);
    private static final Duration RETRY_LAST = Duration.ofSeconds(30);

    private final KubernetesClient client;
    private final Leadership leadership;
    private final boolean elected;
    private final Operator operator;
    private final OperatorMetrics metrics = new OperatorMetrics();
    private final Health live = new Health();
    private final Health ready = new Health();
    private final int httpPort;
    private final Optional<Webhook> webhook;
    private volatile boolean started;
    private @Nullable HttpEndpoint endpoint;

    /**
     * The client is closed with this.
     *
     * @param steps hears of each step
     */
    OperatorProcess(KubernetesClient client, OperatorConfig config, InstantSource clock, StepHook steps) {
        this.client = client;
        this.leadership = new Leadership(client, config);
        this.elected = config.leaderElection();
        this.httpPort = config.httpPort();
        var around = new Steps(MicrometerMetrics.withoutPerResourceMetrics(metrics.registry()), clock);
        this.operator = new Operator(overrider -> {
            overrider
                    .withKubernetesClient(client)
                    .withCloseClientOnStop(false)
                    .withMetrics(around)
                    .withConcurrentReconciliationThreads(THREADS)
                    .withReconciliationTerminationTimeout(LAST_STEPS);
            if (elected) {
                overrider.withLeaderElectionConfiguration(leadership.configuration());
            }
        });
        var writer = new ApplyStatusWriter(client);
        var events = new EventRecorder(client, clock);
        var stores = new Stores(client, config.namespace(), clock);
        var lock = new AdmissionLock();
        var snapshots = operator.register(
                new SnapshotReconciler(client, writer, events, stores, lock, clock, steps),
                overrider -> overrider.withRetry(retry()));
        var restores = operator.register(
                new RestoreReconciler(client, writer, events, stores, lock, clock, steps),
                overrider -> overrider.withRetry(retry()));
        var _ = operator.register(new GateReconciler(client, events, steps), overrider -> overrider.withRetry(retry()));
        var _ = operator.register(new TerminationReconciler(client, steps), overrider -> overrider.withRetry(retry()));
        var _ = operator.register(new ScaleDownReconciler(client, steps), overrider -> overrider.withRetry(retry()));
        watch(snapshots, restores);
        if (config.webhook().isPresent()) {
            operator.register(
                    new NodeReconciler(client, events, clock, steps), overrider -> overrider.withRetry(retry()));
        }
        // What holds VMs and what saves them go together. Without a webhook this removes what one before has left.
        var _ = operator.register(
                new BudgetReconciler(
                        client,
                        events,
                        namespace -> config.webhook()
                                .filter(options -> options.looksAt(namespace))
                                .isPresent(),
                        steps),
                overrider -> overrider.withRetry(retry()));
        live.with("steps", around::stuck);
        ready.with("informers", this::unsynced);
        this.webhook = config.webhook()
                .map(options -> new Webhook(client, config.namespace(), options, clock, steps, metrics::admitted));
        webhook.ifPresent(served -> {
            metrics.certificateExpiry(served::certificateExpiry);
            ready.with("webhook", served::notReadyReason);
        });
    }

    private void watch(RegisteredController<VMSnapshot> snapshots, RegisteredController<VMRestore> restores) {
        metrics.watch(new ObjectCount<>(
                "VMSnapshot",
                List.of(SnapshotPhase.values()),
                VMSnapshotStatus::getPhase,
                VMSnapshotStatus::getConditions,
                () -> cached(snapshots)));
        metrics.watch(new ObjectCount<>(
                "VMRestore",
                List.of(RestorePhase.values()),
                VMRestoreStatus::getPhase,
                VMRestoreStatus::getConditions,
                () -> cached(restores)));
        metrics.leadership(() -> elected ? leadership.leads() : started);
    }

    private <R extends HasMetadata> Stream<R> cached(RegisteredController<R> controller) {
        return started && controller instanceof Controller<R> its
                ? its.getEventSourceManager().getControllerEventSource().list()
                : Stream.empty();
    }

    // Stand-bys are ready too: their caches are warm.
    private Optional<String> unsynced() {
        if (!started) {
            return Optional.of("the informers are not synced yet");
        }
        var unhealthy = operator.getRuntimeInfo().unhealthyEventSources();
        return unhealthy.values().stream().allMatch(Map::isEmpty)
                ? Optional.empty()
                : Optional.of("not synced: "
                        + unhealthy.entrySet().stream()
                                .filter(controller -> !controller.getValue().isEmpty())
                                .map(controller -> controller.getKey() + " "
                                        + controller.getValue().keySet())
                                .collect(Collectors.joining(", ")));
    }

    /**
     * Starts to work, or to stand by for the lease. Returns when the caches are warm.
     *
     * @throws IOException if the HTTP port cannot be had
     */
    void start() throws IOException {
        if (httpPort != 0) {
            endpoint = HttpEndpoint.start(httpPort, live, ready, metrics::scrape);
        }
        // Before the controllers, which wait for their caches: pods are not to wait for those.
        webhook.ifPresent(Webhook::start);
        operator.start();
        started = true;
        LOG.info("started");
    }

    /** Ends the steps that run, then hands leadership over. */
    @Override
    public void close() {
        leadership.stopping();
        operator.stop();
        if (elected) {
            leadership.release();
        }
        webhook.ifPresent(Webhook::close);
        client.close();
        if (endpoint != null) {
            endpoint.close();
        }
    }

    // Without end: what fails is the API server's trouble, and an object must not be forgotten over it.
    private static GenericRetry retry() {
        return new GenericRetry()
                .setInitialInterval(RETRY_FIRST)
                .setIntervalMultiplier(2)
                .setMaxInterval(RETRY_LAST.toMillis())
                .withoutMaxAttempts();
    }
}
