package dev.torpor.operator;

import io.fabric8.kubernetes.api.model.coordination.v1.Lease;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.extended.leaderelection.LeaderCallbacks;
import io.javaoperatorsdk.operator.api.config.LeaderElectionConfiguration;
import io.javaoperatorsdk.operator.api.config.LeaderElectionConfigurationBuilder;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The operator's lease: who holds it works, the others stand by with warm caches. The framework neither gives the lease
 * back at the end of the process, which would make the next leader wait for it to run out, nor stops working when it
 * loses it unless it may exit the process from within; so both are done here.
 */
final class Leadership {
    static final String LEASE = "torpor-operator";

    private static final Logger LOG = LoggerFactory.getLogger(Leadership.class);
    private static final int EXIT_LOST = 1;

    private final KubernetesClient client;
    private final OperatorConfig config;
    private volatile boolean stopping;
    private volatile boolean leading;

    Leadership(KubernetesClient client, OperatorConfig config) {
        this.client = client;
        this.config = config;
    }

    LeaderElectionConfiguration configuration() {
        return LeaderElectionConfigurationBuilder.aLeaderElectionConfiguration(LEASE)
                .withLeaseNamespace(config.namespace())
                .withIdentity(config.identity())
                .withExitOnStopLeading(false)
                .withLeaderCallbacks(
                        new LeaderCallbacks(this::won, this::lost, leader -> LOG.info("leader is {}", leader)))
                .build();
    }

    /** Tells whether this process holds the lease, as far as it knows. */
    boolean leads() {
        return leading;
    }

    private void won() {
        leading = true;
        LOG.info("{} leads", config.identity());
    }

    /** To be called first at the end of the process: from now on the loss of the lease is meant. */
    void stopping() {
        stopping = true;
    }

    /** Gives the lease back, if it is ours. To be called when no reconciliation runs any more. */
    void release() {
        try {
            var resource = client.leases().inNamespace(config.namespace()).withName(LEASE);
            Lease lease = resource.get();
            if (lease != null && config.identity().equals(lease.getSpec().getHolderIdentity())) {
                lease.getSpec().setHolderIdentity("");
                client.resource(lease).update();
                LOG.info("{} gave the lease back", config.identity());
            }
        } catch (KubernetesClientException e) {
            LOG.warn("The lease was not given back, the next leader waits until it runs out: {}", e.getMessage());
        }
    }

    // Another process leads now. All state is in the API, so nothing needs an orderly end, and working on would be
    // wrong.
    private void lost() {
        leading = false;
        if (!stopping) {
            LOG.error("{} lost its lease: ending at once", config.identity());
            Runtime.getRuntime().halt(EXIT_LOST);
        }
    }
}
