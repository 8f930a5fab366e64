package dev.torpor.operator.vm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.v1alpha1.Torpor;
import io.fabric8.kubernetes.api.model.coordination.v1.LeaseBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.server.mock.EnableKubernetesMockClient;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Which node and store count as those that have an image. */
@EnableKubernetesMockClient(crud = true, https = false)
@SuppressWarnings("NullAway.Init")
class StoresTest {
    private KubernetesClient client;
    private TestCluster cluster;
    private Stores stores;
    private String nodeUid;

    @BeforeEach
    void createNode() {
        cluster = new TestCluster(client);
        stores = new Stores(client, "torpor-system", cluster.clock());
        nodeUid = client.nodes().withName("n1").require().getMetadata().getUid();
    }

    @Test
    void theSameNodeWithTheSameStoreIsAlive() {
        assertThat(stores.look("n1", nodeUid, "store")).isEqualTo(new StoreState.Alive(nodeUid, "store"));
    }

    @Test
    void aNodeOfTheSameNameIsNotTheNode() {
        assertThat(stores.look("n1", "uid-before", "store"))
                .isEqualTo(new StoreState.NodeGone("Node n1 was replaced by another one of that name."));
    }

    @Test
    void theNodeWithAnEmptyDiskIsNotTheStore() {
        client.leases().inNamespace("torpor-system").withName("torpor-n1").edit(lease -> new LeaseBuilder(lease)
                .editMetadata()
                .addToAnnotations(Torpor.STORE_ID_ANNOTATION, "new-store")
                .endMetadata()
                .build());
        assertThat(stores.look("n1", nodeUid, "store"))
                .isEqualTo(
                        new StoreState.Away(
                                "Node n1 has image store new-store now, and the image is in store store. Mount that one again."));
    }

    @Test
    void aLeaseOfAnAgentThatNeverSawThisNodeObjectIsNotBelieved() {
        client.leases().inNamespace("torpor-system").withName("torpor-n1").edit(lease -> new LeaseBuilder(lease)
                .editMetadata()
                .addToAnnotations(Torpor.NODE_UID_ANNOTATION, "uid-before")
                .endMetadata()
                .build());
        assertThat(stores.look("n1", nodeUid, "store"))
                .isInstanceOfSatisfying(StoreState.Away.class, away -> assertThat(away.message())
                        .contains("speaks of another node object"));
    }

    @Test
    void anAgentThatReportsNoMoreIsAwayAndItsNodeIsNotGone() {
        cluster.later(39);
        assertThat(stores.look("n1", nodeUid, "store")).isInstanceOf(StoreState.Alive.class);
        cluster.later(2);
        assertThat(stores.look("n1", nodeUid, "store"))
                .isInstanceOfSatisfying(StoreState.Away.class, away -> assertThat(away.message())
                        .contains("has not reported since"));
    }

    @Test
    void aNodeThatIsGoneIsGone() {
        client.nodes().withName("n1").delete();
        assertThat(stores.look("n1", nodeUid, "store")).isEqualTo(new StoreState.NodeGone("Node n1 is gone."));
    }
}
