package dev.torpor.operator.death;

import dev.torpor.api.v1alpha1.NodeStore;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotClass;
import io.fabric8.kubernetes.api.model.APIResourceListBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.dsl.base.CustomResourceDefinitionContext;
import io.fabric8.kubernetes.client.http.BasicBuilder;
import io.fabric8.kubernetes.client.http.HttpRequest;
import io.fabric8.kubernetes.client.http.Interceptor;
import io.fabric8.kubernetes.client.server.mock.KubernetesMockServer;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;

/** The mock API server with the operator's way to it, and that of all others. They serve many worlds, one after the other. */
final class Connections implements AutoCloseable {
    private final KubernetesMockServer server;
    private final Steps steps = new Steps();
    private final AtomicInteger changes = new AtomicInteger();
    private final KubernetesClient others;
    private final KubernetesClient operator;

    Connections(KubernetesMockServer server) {
        this.server = server;
        this.others = connect(new Interceptor() {
            @Override
            public void before(BasicBuilder builder, HttpRequest request, RequestTags tags) {
                if (!request.method().equals("GET") && !request.uri().getPath().contains("/leases")) {
                    changes.incrementAndGet();
                }
            }
        });
        this.operator = connect(steps);
    }

    private KubernetesClient connect(Interceptor seen) {
        return server.createClient(
                builder -> builder.withHttpClientBuilderConsumer(http -> http.addOrReplaceInterceptor("seen", seen)));
    }

    /** Empties the server. It has VolumeSnapshots too. */
    void reset() {
        server.reset();
        for (var kind : List.of(VMSnapshot.class, VMRestore.class, VMSnapshotClass.class, NodeStore.class)) {
            server.expectCustomResource(CustomResourceDefinitionContext.fromCustomResourceType(kind));
        }
        server.expectCustomResource(new CustomResourceDefinitionContext.Builder()
                .withGroup("snapshot.storage.k8s.io")
                .withVersion("v1")
                .withKind("VolumeSnapshot")
                .withPlural("volumesnapshots")
                .withScope("Namespaced")
                .build());
        server.expect()
                .get()
                .withPath("/apis/snapshot.storage.k8s.io/v1")
                .andReturn(
                        200,
                        new APIResourceListBuilder()
                                .withGroupVersion("snapshot.storage.k8s.io/v1")
                                .addNewResource()
                                .withName("volumesnapshots")
                                .withKind("VolumeSnapshot")
                                .withNamespaced(true)
                                .endResource()
                                .build())
                .always();
    }

    KubernetesClient others() {
        return others;
    }

    KubernetesClient operator() {
        return operator;
    }

    Steps steps() {
        return steps;
    }

    /** Returns how many writes there were but those of leases. */
    int changes() {
        return changes.get() + steps.writes();
    }

    @Override
    public void close() {
        others.close();
        operator.close();
    }
}
