package dev.torpor.operator.vm;

import dev.torpor.api.v1alpha1.ResumePolicy;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMRestoreSpec;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotSpec;
import io.fabric8.kubernetes.api.model.DeleteOptions;
import io.fabric8.kubernetes.api.model.NodeBuilder;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.api.model.TaintBuilder;
import io.fabric8.kubernetes.api.model.coordination.v1.LeaseBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.server.mock.KubernetesMockServer;
import io.fabric8.kubernetes.client.utils.Serialization;
import io.fabric8.mockwebserver.http.RecordedRequest;
import java.time.Instant;
import java.time.InstantSource;
import java.time.ZoneOffset;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** A mock API server with node {@code n1}, whose agent reports, and a clock that tests move. */
public final class TestCluster {
    private final KubernetesClient client;
    private Instant now = Instant.now();

    /** Creates the node and its lease. */
    public TestCluster(KubernetesClient client) {
        this.client = client;
        client.resource(new NodeBuilder()
                        .withNewMetadata()
                        .withName("n1")
                        .withUid("node-uid")
                        .endMetadata()
                        .build())
                .create();
        renewLease();
    }

    /** Cordons the node, or takes that back. */
    public void cordon(boolean unschedulable) {
        client.nodes().withName("n1").edit(node -> new NodeBuilder(node)
                .editOrNewSpec()
                .withUnschedulable(unschedulable)
                .endSpec()
                .build());
    }

    /** Sets the node's taints, each as {@code key=value:effect}. */
    public void taint(String... taints) {
        client.nodes().withName("n1").edit(node -> new NodeBuilder(node)
                .editOrNewSpec()
                .withTaints(Stream.of(taints)
                        .map(taint -> taint.split("[=:]", -1))
                        .map(parts -> new TaintBuilder()
                                .withKey(parts[0])
                                .withValue(parts[1])
                                .withEffect(parts[2])
                                .build())
                        .toList())
                .endSpec()
                .build());
    }

    /** Sets the annotation that says whether the node is in maintenance. */
    public void maintain(String value) {
        client.nodes().withName("n1").edit(node -> new NodeBuilder(node)
                .editMetadata()
                .addToAnnotations(Torpor.MAINTENANCE_ANNOTATION, value)
                .endMetadata()
                .build());
    }

    /** Returns a clock that shows {@link #later}'s time. */
    public InstantSource clock() {
        return () -> now;
    }

    /** Moves the clock. */
    public void later(long seconds) {
        now = now.plusSeconds(seconds);
    }

    /** Lets the node's agent report now. */
    public void renewLease() {
        String nodeUid = Objects.requireNonNull(client.nodes().withName("n1").get())
                .getMetadata()
                .getUid();
        client.resource(new LeaseBuilder()
                        .withNewMetadata()
                        .withNamespace("torpor-system")
                        .withName("torpor-n1")
                        .addToAnnotations(Torpor.STORE_ID_ANNOTATION, "store")
                        .addToAnnotations(Torpor.NODE_UID_ANNOTATION, nodeUid)
                        .endMetadata()
                        .withNewSpec()
                        .withRenewTime(now.atZone(ZoneOffset.UTC))
                        .endSpec()
                        .build())
                .createOr(existing -> existing.update());
    }

    /** Creates a snapshot of VM {@code web} with the defaults of the CRD. */
    public VMSnapshot snapshot(String name, SaveMode mode) {
        return snapshot(name, mode, null);
    }

    /** Creates a snapshot of VM {@code web} that says what starts the VM again. */
    public VMSnapshot snapshot(String name, SaveMode mode, @Nullable ResumePolicy resume) {
        VMSnapshot snapshot = new VMSnapshot();
        snapshot.setMetadata(
                new ObjectMetaBuilder().withNamespace("vms").withName(name).build());
        snapshot.setSpec(new VMSnapshotSpec("web", mode, null, null, null, 300, null, null, resume, null));
        return client.resource(snapshot).create();
    }

    /** Creates a restore with the defaults of the CRD. */
    public VMRestore restore(String name, String snapshotName) {
        VMRestore restore = new VMRestore();
        restore.setMetadata(
                new ObjectMetaBuilder().withNamespace("vms").withName(name).build());
        restore.setSpec(new VMRestoreSpec(snapshotName, null, null, null, 300));
        return client.resource(restore).create();
    }

    /** Returns what the last request said that deleted an object; the mock server itself takes no notice of preconditions. */
    public static DeleteOptions lastDeletion(KubernetesMockServer server, String name) throws InterruptedException {
        DeleteOptions last = null;
        RecordedRequest request = server.takeRequest(0, TimeUnit.SECONDS);
        while (request != null) {
            if ("DELETE".equals(request.getMethod()) && request.getPath().endsWith("/" + name)) {
                last = Serialization.unmarshal(request.getBody().readUtf8(), DeleteOptions.class);
            }
            request = server.takeRequest(0, TimeUnit.SECONDS);
        }
        return Objects.requireNonNull(last, () -> "no deletion of " + name);
    }

    /** Returns a snapshot as it is now. */
    public @Nullable VMSnapshot snapshot(String name) {
        return client.resources(VMSnapshot.class)
                .inNamespace("vms")
                .withName(name)
                .get();
    }

    /** Returns a restore as it is now. */
    public @Nullable VMRestore restore(String name) {
        return client.resources(VMRestore.class)
                .inNamespace("vms")
                .withName(name)
                .get();
    }
}
