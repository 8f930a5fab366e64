package dev.torpor.agent.work;

import dev.torpor.api.v1alpha1.Torpor;
import io.fabric8.kubernetes.api.model.Node;
import io.fabric8.kubernetes.api.model.coordination.v1.Lease;
import io.fabric8.kubernetes.api.model.coordination.v1.LeaseBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.time.Clock;
import java.time.Duration;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The Lease that tells the operator that this node's store is alive, and which one it is. */
final class StoreLease {
    /** How often it is renewed. */
    static final Duration RENEW = Duration.ofSeconds(10);

    /** When the operator takes the store for lost. */
    private static final Duration DEAD = Duration.ofSeconds(40);

    private static final Logger LOG = LoggerFactory.getLogger(StoreLease.class);

    private final KubernetesClient client;
    private final AgentConfig config;
    private final String storeID;
    private final Clock clock;
    private final Runnable onFailure;
    private volatile long renewedNanos = System.nanoTime();
    private volatile boolean everRenewed;

    /**
     * Names the lease; {@link #renew} makes it.
     *
     * @param onFailure called for each renewal that fails
     */
    StoreLease(KubernetesClient client, AgentConfig config, String storeID, Clock clock, Runnable onFailure) {
        this.client = client;
        this.config = config;
        this.storeID = storeID;
        this.clock = clock;
        this.onFailure = onFailure;
    }

    /** Renews it, making it if need be; trouble is logged, and passes or shows as a dead store. */
    void renew() {
        try {
            Node node = client.nodes().withName(config.node()).get();
            if (node == null) {
                LOG.warn("there is no Node {}: is --node its name?", config.node());
                onFailure.run();
                return;
            }
            // The only writer of its own Lease: force is harmless, and heals what somebody edited.
            client.resource(lease(node.getMetadata().getUid()))
                    .fieldManager(Torpor.AGENT_MANAGER)
                    .forceConflicts()
                    .serverSideApply();
            renewedNanos = System.nanoTime();
            everRenewed = true;
        } catch (KubernetesClientException e) {
            LOG.warn("the Lease of store {} was not renewed: {}", storeID, e.getMessage());
            onFailure.run();
        }
    }

    /** Returns the time since it was renewed, or since the start if it never was. */
    Duration age() {
        return Duration.ofNanos(System.nanoTime() - renewedNanos);
    }

    /** Returns why the operator may take the store for lost; empty if it does not. */
    Optional<String> problem() {
        if (!everRenewed) {
            return Optional.of("not renewed yet");
        }
        Duration age = age();
        return age.compareTo(DEAD) > 0
                ? Optional.of("not renewed for " + age.toSeconds() + " s: the operator takes the store for lost")
                : Optional.empty();
    }

    private Lease lease(String nodeUID) {
        return new LeaseBuilder()
                .withNewMetadata()
                .withName(Torpor.LEASE_PREFIX + config.node())
                .withNamespace(config.leaseNamespace())
                .addToAnnotations(Torpor.STORE_ID_ANNOTATION, storeID)
                .addToAnnotations(Torpor.NODE_UID_ANNOTATION, nodeUID)
                .endMetadata()
                .withNewSpec()
                .withHolderIdentity(config.node())
                .withLeaseDurationSeconds((int) DEAD.toSeconds())
                .withRenewTime(ZonedDateTime.now(clock.withZone(ZoneOffset.UTC)))
                .endSpec()
                .build();
    }
}
