package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.launch.StartFacts;
import dev.torpor.agent.launch.VmName;
import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.Imported;
import dev.torpor.api.v1alpha1.NodeStore;
import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.api.v1alpha1.OnTermination;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMRestoreStatus;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotClass;
import dev.torpor.api.v1alpha1.VMSnapshotClassSpec;
import io.fabric8.kubernetes.api.model.ObjectMeta;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import java.net.HttpURLConnection;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** The API server. Reads name no resourceVersion, which makes them consistent. */
final class ApiCluster implements Cluster {
    /** Condition of a pod that Kubernetes ends for its own reasons (Kubernetes 1.31, "Pod disruption conditions"). */
    private static final String DISRUPTION_TARGET = "DisruptionTarget";
    /** What a kubelet that shuts down says of its node's condition Ready, among others perhaps (nodestatus.ReadyCondition). */
    private static final String SHUTTING_DOWN = "node is shutting down";

    /** Default of a pod's terminationGracePeriodSeconds. */
    private static final Long GRACE_SECONDS = 30L;

    private final KubernetesClient client;
    private final String nodeName;
    // By the image's UID, from the informer: only a hint where to look.
    private final Map<String, VMSnapshot> snapshots = new ConcurrentHashMap<>();
    /** By name, from the informer: what a pod that ends is saved by must not wait for the API server. */
    private final Map<String, VMSnapshotClass> classes = new ConcurrentHashMap<>();

    /** @param nodeName this node's name */
    ApiCluster(KubernetesClient client, String nodeName) {
        this.client = client;
        this.nodeName = nodeName;
    }

    void seen(VMSnapshot snapshot) {
        snapshots.put(SnapshotView.of(snapshot).image().uid(), snapshot);
    }

    void gone(VMSnapshot snapshot) {
        snapshots.remove(SnapshotView.of(snapshot).image().uid());
    }

    void seen(VMSnapshotClass one) {
        classes.put(one.getMetadata().getName(), one);
    }

    void gone(VMSnapshotClass one) {
        classes.remove(one.getMetadata().getName());
    }

    @Override
    public Optional<VMSnapshot> snapshot(String namespace, String name) {
        return Optional.ofNullable(client.resources(VMSnapshot.class)
                .inNamespace(namespace)
                .withName(name)
                .get());
    }

    @Override
    public Optional<VMSnapshot> snapshotOf(ImageId image) {
        return Optional.ofNullable(snapshots.get(image.uid()));
    }

    @Override
    public Optional<VMRestore> restore(String namespace, String name) {
        return Optional.ofNullable(client.resources(VMRestore.class)
                .inNamespace(namespace)
                .withName(name)
                .get());
    }

    @Override
    public Optional<VMSnapshotClassSpec> snapshotClass(String name) {
        return Optional.ofNullable(
                        client.resources(VMSnapshotClass.class).withName(name).get())
                .map(VMSnapshotClass::getSpec);
    }

    @Override
    public Optional<VMSnapshotClassSpec> defaultClass() {
        return VMSnapshotClass.ofDefault(classes.values()).map(VMSnapshotClass::getSpec);
    }

    @Override
    public List<StartFacts.ActiveRestore> activeRestores(VmName vm) {
        List<StartFacts.ActiveRestore> active = new ArrayList<>();
        for (VMRestore restore : client.resources(VMRestore.class)
                .inNamespace(vm.namespace())
                .list()
                .getItems()) {
            if (isActive(restore) && vm.name().equals(vmName(restore))) {
                ObjectMeta meta = restore.getMetadata();
                Optional<String> podUID = Optional.ofNullable(restore.getStatus())
                        .map(VMRestoreStatus::getPod)
                        .map(ObjectName::uid);
                active.add(new StartFacts.ActiveRestore(meta.getName(), meta.getUid(), podUID));
            }
        }
        return active;
    }

    @Override
    public List<VMRestore> restoresOf(VmName vm) {
        return client.resources(VMRestore.class).inNamespace(vm.namespace()).list().getItems().stream()
                .filter(restore -> restore.getStatus() != null
                        && vm.name().equals(restore.getStatus().getVmName()))
                .toList();
    }

    @Override
    public List<VMSnapshot> snapshotsOf(VmName vm) {
        return client.resources(VMSnapshot.class).inNamespace(vm.namespace()).list().getItems().stream()
                .filter(snapshot -> vm.name().equals(snapshot.getSpec().vmName()))
                .toList();
    }

    @Override
    public Optional<LivePod> livePod(VmName vm, String podUID) {
        return pods(vm).map(Pod::getMetadata)
                .filter(pod -> pod.getUid().equals(podUID) && pod.getDeletionTimestamp() == null)
                .findFirst()
                .map(pod -> new LivePod(Optional.ofNullable(pod.getAnnotations())
                        .map(annotations -> annotations.get(Torpor.RESTORE_ANNOTATION))));
    }

    @Override
    public Optional<TerminationDecision.PodEnd> podEnd(VmName vm, String podUID) {
        return pods(vm).filter(pod -> pod.getMetadata().getUid().equals(podUID))
                .findFirst()
                .map(ApiCluster::endOf);
    }

    private static TerminationDecision.PodEnd endOf(Pod pod) {
        ObjectMeta meta = pod.getMetadata();
        boolean disrupted = pod.getStatus() != null
                && pod.getStatus().getConditions().stream()
                        .anyMatch(condition ->
                                DISRUPTION_TARGET.equals(condition.getType()) && "True".equals(condition.getStatus()));
        return new TerminationDecision.PodEnd(
                meta.getName(),
                Optional.ofNullable(meta.getDeletionTimestamp()).map(Instant::parse),
                Objects.requireNonNullElse(pod.getSpec().getTerminationGracePeriodSeconds(), GRACE_SECONDS),
                disrupted,
                OnTermination.of(
                        meta.getAnnotations() == null
                                ? null
                                : meta.getAnnotations().get(Torpor.ON_TERMINATION_ANNOTATION)));
    }

    @Override
    public boolean nodeGoesDown() {
        io.fabric8.kubernetes.api.model.Node node =
                client.nodes().withName(nodeName).get();
        return node != null
                && node.getStatus() != null
                && node.getStatus().getConditions().stream()
                        .anyMatch(condition -> "Ready".equals(condition.getType())
                                && "False".equals(condition.getStatus())
                                && condition.getMessage() != null
                                && condition.getMessage().contains(SHUTTING_DOWN));
    }

    @Override
    public List<NodeStore> nodeStores() {
        return client.resources(NodeStore.class).list().getItems();
    }

    private Stream<Pod> pods(VmName vm) {
        return client
                .pods()
                .inNamespace(vm.namespace())
                .withLabel(Torpor.VM_LABEL, vm.name())
                .list()
                .getItems()
                .stream();
    }

    @Override
    public boolean podIsLive(String namespace, String name, String uid) {
        Pod pod = client.pods().inNamespace(namespace).withName(name).get();
        if (pod == null || !pod.getMetadata().getUid().equals(uid)) {
            return false;
        }
        String phase = pod.getStatus() == null ? null : pod.getStatus().getPhase();
        return !"Succeeded".equals(phase) && !"Failed".equals(phase);
    }

    @Override
    public void tellGuest(String namespace, String name, String podUID, GuestState state, Optional<Instant> changedAt) {
        Map<String, String> condition = new HashMap<>(Map.of(
                "type",
                Torpor.GUEST_RUNNING,
                "status",
                state.running() ? "True" : "False",
                "reason",
                state.reason(),
                "message",
                state.message()));
        changedAt.ifPresent(time -> condition.put("lastTransitionTime", Conditions.time(time)));
        // Strategic, as conditions are merged by their type then: those of the kubelet stay as they are.
        String patch = client.getKubernetesSerialization()
                .asJson(Map.of(
                        "metadata", Map.of("uid", podUID),
                        "status", Map.of("conditions", List.of(condition))));
        try {
            client.pods()
                    .inNamespace(namespace)
                    .withName(name)
                    .subresource("status")
                    .patch(
                            new PatchContext.Builder()
                                    .withPatchType(PatchType.STRATEGIC_MERGE)
                                    .withFieldManager(Torpor.AGENT_MANAGER)
                                    .build(),
                            patch);
        } catch (KubernetesClientException e) {
            if (e.getCode() != HttpURLConnection.HTTP_NOT_FOUND && e.getCode() != HttpURLConnection.HTTP_CONFLICT) {
                throw e;
            }
        }
    }

    @Override
    public boolean removeFinalizer(VMSnapshot seen) {
        ObjectMeta meta = seen.getMetadata();
        List<String> left = meta.getFinalizers().stream()
                .filter(finalizer -> !finalizer.equals(Torpor.IMAGE_FINALIZER))
                .map(finalizer -> "\"" + finalizer + "\"")
                .toList();
        // With the version it was seen in: finalizers that others add meanwhile are not lost.
        String patch = "{\"metadata\":{\"resourceVersion\":\"" + meta.getResourceVersion() + "\",\"finalizers\":["
                + String.join(",", left) + "]}}";
        try {
            client.resources(VMSnapshot.class)
                    .inNamespace(meta.getNamespace())
                    .withName(meta.getName())
                    .patch(
                            new PatchContext.Builder()
                                    .withPatchType(PatchType.JSON_MERGE)
                                    .withFieldManager(Torpor.AGENT_MANAGER)
                                    .build(),
                            patch);
            return true;
        } catch (KubernetesClientException e) {
            if (e.getCode() == HttpURLConnection.HTTP_CONFLICT) {
                return false;
            }
            if (e.getCode() == HttpURLConnection.HTTP_NOT_FOUND) {
                return true;
            }
            throw e;
        }
    }

    private static boolean isActive(VMRestore restore) {
        VMRestoreStatus status = restore.getStatus();
        return restore.getMetadata().getDeletionTimestamp() == null
                && !Imported.hasStatusOfAnother(restore)
                && (status == null
                        || (status.getFailure() == null
                                && !Conditions.isTrue(status.getConditions(), ConditionType.RESUMED)
                                && !Conditions.isTrue(status.getConditions(), ConditionType.STALLED)));
    }

    /** The VM of a restore that the operator has not admitted yet is that of its snapshot. */
    private @Nullable String vmName(VMRestore restore) {
        if (restore.getStatus() != null && restore.getStatus().getVmName() != null) {
            return restore.getStatus().getVmName();
        }
        return snapshot(restore.getMetadata().getNamespace(), restore.getSpec().snapshotName())
                .map(snapshot -> snapshot.getSpec().vmName())
                .orElse(null);
    }
}
