package dev.torpor.operator;

import dev.torpor.api.status.ApplyStatusWriter;
import dev.torpor.operator.event.EventRecorder;
import dev.torpor.operator.restore.RestoreReconciler;
import dev.torpor.operator.snapshot.SnapshotReconciler;
import dev.torpor.operator.vm.AdmissionLock;
import dev.torpor.operator.vm.Stores;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.javaoperatorsdk.operator.Operator;
import io.javaoperatorsdk.operator.processing.retry.GenericRetry;
import java.time.Duration;
import java.time.InstantSource;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The two controllers and their leadership, wired together. */
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

    /** The client is closed with this. */
    OperatorProcess(KubernetesClient client, OperatorConfig config, InstantSource clock) {
        this.client = client;
        this.leadership = new Leadership(client, config);
        this.elected = config.leaderElection();
        this.operator = new Operator(overrider -> {
            overrider
                    .withKubernetesClient(client)
                    .withCloseClientOnStop(false)
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
        operator.register(
                new SnapshotReconciler(client, writer, events, stores, lock, clock),
                overrider -> overrider.withRetry(retry()));
        operator.register(
                new RestoreReconciler(client, writer, events, stores, lock, clock),
                overrider -> overrider.withRetry(retry()));
    }

    /** Starts to work, or to stand by for the lease. Returns when the caches are warm. */
    void start() {
        operator.start();
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
        client.close();
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
