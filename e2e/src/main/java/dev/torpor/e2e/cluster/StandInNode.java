package dev.torpor.e2e.cluster;

import dev.torpor.api.v1alpha1.Torpor;
import io.fabric8.kubernetes.api.model.Node;
import io.fabric8.kubernetes.api.model.NodeBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.Quantity;
import io.fabric8.kubernetes.api.model.coordination.v1.LeaseBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.informers.ResourceEventHandler;
import io.fabric8.kubernetes.client.informers.SharedIndexInformer;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

/**
 * Stands in for a kubelet, for tests that want several nodes on one machine or a pod within a second: registers a node,
 * and runs the QEMU container of each VM pod that is bound to it as a process of this machine, in the kubelet's folder
 * layout and in a cgroup named like the kubelet's ({@link StandInPod}). Everything else of a kubelet is left out: images,
 * networks, probes, hooks but preStop, other volumes. Must run as root.
 */
public final class StandInNode implements AutoCloseable {
    private static final String READY = "a stand-in for a kubelet";
    private static final String LEASES = "kube-node-lease";
    // The node controller gives up on a node after 40 s.
    private static final int HEARTBEAT_SECONDS = 10;

    private final KubernetesClient client;
    private final String name;
    private final Path root;
    private final Map<String, StandInPod> pods = new ConcurrentHashMap<>();
    private final ScheduledExecutorService heartbeat = Executors.newSingleThreadScheduledExecutor(
            Thread.ofPlatform().daemon().name("stand-in-node").factory());
    private final SharedIndexInformer<Pod> informer;
    private volatile boolean off;

    private StandInNode(KubernetesClient client, String name, Path root) {
        this.client = client;
        this.name = name;
        this.root = root;
        register();
        var _ = heartbeat.scheduleAtFixedRate(this::beat, 0, HEARTBEAT_SECONDS, TimeUnit.SECONDS);
        this.informer = client.pods()
                .inAnyNamespace()
                .withField("spec.nodeName", name)
                .inform(new ResourceEventHandler<>() {
                    @Override
                    public void onAdd(Pod pod) {
                        seen(pod);
                    }

                    @Override
                    public void onUpdate(Pod before, Pod now) {
                        seen(now);
                    }

                    @Override
                    public void onDelete(Pod pod, boolean unknown) {
                        gone(pod);
                    }
                });
    }

    /** Registers a node of this name and begins to run what is bound to it. */
    public static StandInNode start(ControlPlane controlPlane, String name) {
        try {
            Path root = Files.createDirectories(
                    controlPlane.directory().resolve("stand-in").resolve(name));
            return new StandInNode(controlPlane.client(), name, root);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Returns the node's name. */
    public String name() {
        return name;
    }

    /** Returns the folder that stands for {@code /var/lib/kubelet}. */
    public Path kubeletRoot() {
        return root;
    }

    /** Returns the running pod of this name; fails if this node has none. */
    public StandInPod pod(String namespace, String podName) {
        return pods.values().stream()
                .filter(pod -> pod.is(namespace, podName))
                .findFirst()
                .orElseThrow(() -> new IllegalStateException(
                        "no pod " + namespace + "/" + podName + " runs on " + name + ", only " + pods.values()));
    }

    /** Returns the pod of this UID; empty if it does not run here. */
    public Optional<StandInPod> pod(String podUid) {
        return Optional.ofNullable(pods.get(podUid));
    }

    /** Tells whether a pod of this name runs here. */
    public boolean runs(String namespace, String podName) {
        return pods.values().stream().anyMatch(pod -> pod.is(namespace, podName));
    }

    /** Tells whether the pod of this UID runs here. */
    public boolean runs(String podUid) {
        return pods.containsKey(podUid);
    }

    /**
     * Cuts the power: every process of a pod is gone, no heartbeat is sent, and nothing is done about pods. What is on the
     * node's disk stays.
     */
    public void powerOff() {
        off = true;
        pods.values().forEach(StandInPod::powerOff);
    }

    /** Boots: pods that are bound still are run again, from their init containers on; the others are cleaned up. */
    public void powerOn() {
        off = false;
        beat();
        Set<String> bound = informer.getStore().list().stream()
                .map(pod -> pod.getMetadata().getUid())
                .collect(Collectors.toSet());
        pods.forEach((uid, pod) -> {
            if (bound.contains(uid)) {
                pod.powerOn();
            } else {
                pods.remove(uid);
                pod.close();
            }
        });
        informer.getStore().list().forEach(this::seen);
    }

    /**
     * Does what a kubelet with graceful shutdown does: ends the pods, which stay in the API as they are until they have ended,
     * and says so of the node at the same time.
     *
     * @param graceSeconds what pods have
     */
    public void shutDown(long graceSeconds) {
        pods.values().forEach(pod -> pod.endByKubelet(graceSeconds));
        sayReady("False", "node is shutting down");
    }

    /** Takes pods again after {@link #shutDown}. */
    public void giveUpShutdown() {
        sayReady("True", READY);
    }

    private void sayReady(String status, String message) {
        Conflicts.retried(() -> client.nodes().withName(name).editStatus(now -> new NodeBuilder(now)
                .editOrNewStatus()
                .removeMatchingFromConditions(c -> c.getType().equals("Ready"))
                .addNewCondition()
                .withType("Ready")
                .withStatus(status)
                .withReason("StandIn")
                .withMessage(message)
                .endCondition()
                .endStatus()
                .build()));
    }

    @Override
    public void close() {
        informer.close();
        heartbeat.shutdownNow();
        pods.values().forEach(StandInPod::close);
        client.nodes().withName(name).delete();
    }

    private void seen(Pod pod) {
        if (off || !pod.getMetadata().getLabels().containsKey(Torpor.VM_LABEL)) {
            return;
        }
        StandInPod running =
                pods.computeIfAbsent(pod.getMetadata().getUid(), uid -> StandInPod.start(client, root, pod));
        running.seen(pod);
        if (pod.getMetadata().getDeletionTimestamp() != null) {
            running.terminate(pod.getMetadata().getDeletionGracePeriodSeconds());
        }
    }

    private void gone(Pod pod) {
        if (off) {
            return;
        }
        StandInPod running = pods.remove(pod.getMetadata().getUid());
        if (running != null) {
            running.close();
        }
    }

    private void register() {
        Node node = new NodeBuilder()
                .withNewMetadata()
                .withName(name)
                .addToLabels("kubernetes.io/hostname", name)
                .endMetadata()
                .build();
        client.resource(node).create();
        Conflicts.retried(() -> client.nodes().withName(name).editStatus(now -> new NodeBuilder(now)
                .editOrNewStatus()
                .addToCapacity(Map.of("cpu", new Quantity("64"), "memory", new Quantity("256Gi")))
                .addToCapacity(Map.of("pods", new Quantity("110")))
                .addToAllocatable(Map.of("cpu", new Quantity("64"), "memory", new Quantity("256Gi")))
                .addToAllocatable(Map.of("pods", new Quantity("110")))
                .endStatus()
                .build()));
        sayReady("True", READY);
        // As the kubelet does, whose admission of a node ends with this taint's removal.
        Conflicts.retried(() -> client.nodes()
                .withName(name)
                .edit(now ->
                        new NodeBuilder(now).editSpec().withTaints().endSpec().build()));
    }

    /** Nothing was heard of the node for a while, so the controller manager has said that nobody knows: the node has to. */
    private boolean isTakenForLost() {
        Node node = client.nodes().withName(name).get();
        return node != null
                && node.getStatus().getConditions().stream()
                        .anyMatch(c ->
                                c.getType().equals("Ready") && c.getStatus().equals("Unknown"));
    }

    private void beat() {
        if (off) {
            return;
        }
        try {
            if (isTakenForLost()) {
                sayReady("True", READY);
            }
            client.leases()
                    .inNamespace(LEASES)
                    .resource(new LeaseBuilder()
                            .withNewMetadata()
                            .withName(name)
                            .withNamespace(LEASES)
                            .endMetadata()
                            .withNewSpec()
                            .withHolderIdentity(name)
                            .withLeaseDurationSeconds(40)
                            .withRenewTime(ZonedDateTime.now(ZoneOffset.UTC))
                            .endSpec()
                            .build())
                    .forceConflicts()
                    .fieldManager("stand-in-node")
                    .serverSideApply();
        } catch (RuntimeException e) {
            System.err.println("stand-in node " + name + ": heartbeat failed: " + e.getMessage());
        }
    }
}
