package dev.torpor.operator.vm;

import dev.torpor.api.v1alpha1.Torpor;
import io.fabric8.kubernetes.api.model.Node;
import io.fabric8.kubernetes.api.model.coordination.v1.Lease;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.time.ZonedDateTime;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** The nodes' image stores, as their agents' leases tell of them. */
public final class Stores {
    /** An agent renews every 10 s; three renewals may be lost before it counts as away. */
    static final Duration LEASE_LIFETIME = Duration.ofSeconds(40);

    private final KubernetesClient client;
    private final String systemNamespace;
    private final InstantSource clock;

    /**
     * @param systemNamespace where the agents' leases are
     * @param clock compared with the times that agents write, so both clocks should be synchronized to some seconds
     */
    public Stores(KubernetesClient client, String systemNamespace, InstantSource clock) {
        this.client = client;
        this.systemNamespace = systemNamespace;
        this.clock = clock;
    }

    /**
     * Looks at the store of a node.
     *
     * @param nodeUid UID that the node object must have; null: any
     * @param storeId identity that the store must have; null: any
     */
    public StoreState look(String nodeName, @Nullable String nodeUid, @Nullable String storeId) {
        Node node = client.nodes().withName(nodeName).get();
        if (node == null) {
            return new StoreState.NodeGone("Node %s is gone.".formatted(nodeName));
        }
        String uid = node.getMetadata().getUid();
        if (nodeUid != null && !nodeUid.equals(uid)) {
            return new StoreState.NodeGone("Node %s was replaced by another one of that name.".formatted(nodeName));
        }
        Lease lease = client.leases()
                .inNamespace(systemNamespace)
                .withName(Torpor.LEASE_PREFIX + nodeName)
                .get();
        if (lease == null || lease.getSpec() == null || lease.getSpec().getRenewTime() == null) {
            return new StoreState.Away(
                    "No Torpor agent has reported from node %s. See that its agent is installed and runs."
                            .formatted(nodeName));
        }
        Instant renewed = renewTime(lease.getSpec().getRenewTime());
        if (renewed.plus(LEASE_LIFETIME).isBefore(clock.instant())) {
            return new StoreState.Away(
                    "The Torpor agent of node %s has not reported since %s. See that the node is up and its agent runs."
                            .formatted(nodeName, renewed));
        }
        String leaseStore = lease.getMetadata().getAnnotations().get(Torpor.STORE_ID_ANNOTATION);
        String leaseNode = lease.getMetadata().getAnnotations().get(Torpor.NODE_UID_ANNOTATION);
        if (leaseStore == null || !uid.equals(leaseNode)) {
            return new StoreState.Away(
                    "The lease of the Torpor agent of node %s speaks of another node object. It corrects itself when the agent is restarted."
                            .formatted(nodeName));
        }
        if (storeId != null && !Objects.equals(storeId, leaseStore)) {
            return new StoreState.Away(
                    "Node %s has image store %s now, and the image is in store %s. Mount that one again."
                            .formatted(nodeName, leaseStore, storeId));
        }
        return new StoreState.Alive(uid, leaseStore);
    }

    private static Instant renewTime(ZonedDateTime time) {
        return time.toInstant();
    }
}
