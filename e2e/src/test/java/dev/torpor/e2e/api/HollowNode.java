package dev.torpor.e2e.api;

import static org.awaitility.Awaitility.await;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.e2e.cluster.ControlPlane;
import io.fabric8.kubernetes.api.model.NodeBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.Quantity;
import io.fabric8.kubernetes.api.model.coordination.v1.LeaseBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.informers.ResourceEventHandler;
import io.fabric8.kubernetes.client.informers.SharedIndexInformer;
import java.time.Duration;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.awaitility.core.ThrowingRunnable;

/**
 * A node that the scheduler takes for a real one, where every pod runs at once and nothing is behind it: what is bound to it
 * becomes Running, what terminates goes. Its agent's lease is always fresh.
 */
final class HollowNode implements AutoCloseable {
    private static final String LEASES = "kube-node-lease";
    private static final int HEARTBEAT_SECONDS = 5;
    private static final Duration PATIENCE = Duration.ofSeconds(30);

    private final KubernetesClient client;
    private final String systemNamespace;
    private final String name;
    private final String uid;
    private final Set<String> running = ConcurrentHashMap.newKeySet();
    private final ScheduledExecutorService heartbeat = Executors.newSingleThreadScheduledExecutor(
            Thread.ofPlatform().daemon().name("hollow-node").factory());
    private final ExecutorService work = Executors.newSingleThreadExecutor(
            Thread.ofPlatform().daemon().name("hollow-kubelet").factory());
    private final SharedIndexInformer<Pod> informer;

    private HollowNode(KubernetesClient client, String systemNamespace, String name) {
        this.client = client;
        this.systemNamespace = systemNamespace;
        this.name = name;
        this.uid = register();
        var _ = heartbeat.scheduleAtFixedRate(this::beat, 0, HEARTBEAT_SECONDS, TimeUnit.SECONDS);
        this.informer = client.pods()
                .inAnyNamespace()
                .withField("spec.nodeName", name)
                .inform(new ResourceEventHandler<>() {
                    @Override
                    public void onAdd(Pod pod) {
                        // Never on the informer's own thread, which answers to requests need.
                        work.execute(() -> seen(pod));
                    }

                    @Override
                    public void onUpdate(Pod before, Pod now) {
                        work.execute(() -> seen(now));
                    }

                    @Override
                    public void onDelete(Pod pod, boolean unknown) {
                        running.remove(pod.getMetadata().getUid());
                    }
                });
    }

    static HollowNode start(ControlPlane cluster, String systemNamespace, String name) {
        return new HollowNode(cluster.client(), systemNamespace, name);
    }

    String name() {
        return name;
    }

    @Override
    public void close() {
        informer.close();
        heartbeat.shutdownNow();
        work.shutdownNow();
        client.nodes().withName(name).delete();
    }

    private void seen(Pod pod) {
        var pods = client.pods()
                .inNamespace(pod.getMetadata().getNamespace())
                .withName(pod.getMetadata().getName());
        try {
            if (pod.getMetadata().getDeletionTimestamp() != null) {
                pods.withGracePeriod(0).delete();
            } else if (running.add(pod.getMetadata().getUid())) {
                pods.editStatus(now -> new PodBuilder(now)
                        .editOrNewStatus()
                        .withPhase("Running")
                        .addNewCondition()
                        .withType("Ready")
                        .withStatus("True")
                        .endCondition()
                        .addNewContainerStatus()
                        .withName(now.getSpec().getContainers().getFirst().getName())
                        .withImage("vm")
                        .withImageID("vm")
                        .withRestartCount(0)
                        .withReady(true)
                        .withNewState()
                        .withNewRunning()
                        .endRunning()
                        .endState()
                        .endContainerStatus()
                        .endStatus()
                        .build());
            }
        } catch (KubernetesClientException e) {
            // Somebody changed it meanwhile: the event of that change comes too.
            running.remove(pod.getMetadata().getUid());
        }
    }

    private String register() {
        client.resource(new NodeBuilder()
                        .withNewMetadata()
                        .withName(name)
                        .addToLabels("kubernetes.io/hostname", name)
                        .endMetadata()
                        .build())
                .create();
        Map<String, Quantity> room =
                Map.of("cpu", new Quantity("64"), "memory", new Quantity("256Gi"), "pods", new Quantity("110"));
        // The node's controllers write it at the same time.
        insist(() -> client.nodes().withName(name).editStatus(now -> new NodeBuilder(now)
                .editOrNewStatus()
                .withCapacity(room)
                .withAllocatable(room)
                .addNewCondition()
                .withType("Ready")
                .withStatus("True")
                .withReason("Hollow")
                .withMessage("nothing is behind it")
                .endCondition()
                .endStatus()
                .build()));
        insist(() -> client.nodes()
                .withName(name)
                .edit(now ->
                        new NodeBuilder(now).editSpec().withTaints().endSpec().build()));
        return client.nodes().withName(name).require().getMetadata().getUid();
    }

    private static void insist(ThrowingRunnable edit) {
        await().atMost(PATIENCE)
                .ignoreException(KubernetesClientException.class)
                .untilAsserted(edit);
    }

    private void beat() {
        try {
            lease(LEASES, name, Map.of());
            lease(
                    systemNamespace,
                    Torpor.LEASE_PREFIX + name,
                    Map.of(Torpor.STORE_ID_ANNOTATION, "store-" + name, Torpor.NODE_UID_ANNOTATION, uid));
        } catch (RuntimeException e) {
            System.err.println("hollow node " + name + ": heartbeat failed: " + e.getMessage());
        }
    }

    private void lease(String namespace, String leaseName, Map<String, String> annotations) {
        client.resource(new LeaseBuilder()
                        .withNewMetadata()
                        .withNamespace(namespace)
                        .withName(leaseName)
                        .withAnnotations(annotations)
                        .endMetadata()
                        .withNewSpec()
                        .withHolderIdentity(name)
                        .withLeaseDurationSeconds(40)
                        .withRenewTime(ZonedDateTime.now(ZoneOffset.UTC))
                        .endSpec()
                        .build())
                .forceConflicts()
                .fieldManager("hollow-node")
                .serverSideApply();
    }
}
