package dev.torpor.e2e.api;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.VMSnapshot;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Plays the part of all nodes' agents for the snapshots of a namespace, as often as it looks: begins what is bound, ends
 * what is cancelled, and commits what was begun as soon as the test lets it.
 */
final class HollowAgent implements AutoCloseable {
    private static final int LOOK_MILLIS = 200;

    private final KubernetesClient client;
    private final String namespace;
    private final SimulatedAgent agent;
    private final AtomicBoolean commits = new AtomicBoolean();
    private final ScheduledExecutorService loop = Executors.newSingleThreadScheduledExecutor(
            Thread.ofPlatform().daemon().name("hollow-agent").factory());

    private HollowAgent(KubernetesClient client, String namespace) {
        this.client = client;
        this.namespace = namespace;
        this.agent = new SimulatedAgent(client);
        var _ = loop.scheduleWithFixedDelay(this::look, 0, LOOK_MILLIS, TimeUnit.MILLISECONDS);
    }

    /** Begins to play, without committing anything yet. */
    static HollowAgent start(KubernetesClient client, String namespace) {
        return new HollowAgent(client, namespace);
    }

    /** From now on saves come to their end. */
    void commit() {
        commits.set(true);
    }

    @Override
    public void close() {
        loop.shutdownNow();
    }

    private void look() {
        try {
            client.resources(VMSnapshot.class)
                    .inNamespace(namespace)
                    .list()
                    .getItems()
                    .forEach(this::look);
        } catch (RuntimeException e) {
            // Somebody else wrote first; the next look sees that.
            System.err.println("hollow agent: " + e.getMessage());
        }
    }

    private void look(VMSnapshot snapshot) {
        var status = snapshot.getStatus();
        if (status == null
                || status.getNodeName() == null
                || status.getFailure() != null
                || Conditions.isTrue(status.getConditions(), ConditionType.SAVED)) {
            return;
        }
        boolean begun =
                Conditions.find(status.getConditions(), ConditionType.SAVED).isPresent();
        if (Boolean.TRUE.equals(snapshot.getSpec().cancel())) {
            agent.gaveUp(snapshot, "Cancelled", "Cancelled while saving. The VM carries on.");
        } else if (!begun && status.getPhase() == SnapshotPhase.Bound) {
            agent.saving(snapshot, 50);
        } else if (begun && commits.get()) {
            agent.saved(snapshot);
        }
    }
}
