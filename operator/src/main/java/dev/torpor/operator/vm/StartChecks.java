package dev.torpor.operator.vm;

import dev.torpor.api.v1alpha1.DisksPolicy;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import io.fabric8.kubernetes.api.model.Node;
import io.fabric8.kubernetes.api.model.OwnerReference;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.Taint;
import io.fabric8.kubernetes.api.model.Toleration;
import io.fabric8.kubernetes.api.model.apps.StatefulSet;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What must hold before a pod is let go to be fed a managed image: the image's node takes pods and its store answers, the
 * pod is the VM that was saved, and nobody is about to replace it.
 */
public final class StartChecks {
    /** Effects of taints that keep a pod off a node for good. */
    private static final Set<String> KEEP_OFF = Set.of("NoSchedule", "NoExecute");

    private static final String REVISION_LABEL = "controller-revision-hash";

    private final KubernetesClient client;
    private final RecordedManifests manifests;
    private final Stores stores;
    private final Claims claims;

    public StartChecks(KubernetesClient client, RecordedManifests manifests, Stores stores) {
        this.client = client;
        this.manifests = manifests;
        this.stores = stores;
        this.claims = new Claims(client);
    }

    /**
     * Checks.
     *
     * @param pod the pod that is to be fed; empty if it is still to be created
     * @param disks what is known of the VM's disks
     * @throws TorporException with the reason for which it cannot start, or not yet; the image is safe
     */
    public void require(VMSnapshot snapshot, Optional<Pod> pod, DisksPolicy disks) throws TorporException {
        String nodeName = Objects.requireNonNull(snapshot.getStatus().getNodeName(), "a saved VM has a node");
        if (pod.isPresent()) {
            requireHere(snapshot, pod.get(), nodeName);
            requireNoRollout(snapshot, pod.get());
            requireSameDefinition(snapshot, pod.get());
        }
        if (disks == DisksPolicy.Unchanged) {
            claims.requireSame(snapshot);
        }
        requireStore(snapshot, nodeName);
        requireSchedulable(snapshot, pod, nodeName);
    }

    private static void requireHere(VMSnapshot snapshot, Pod pod, String nodeName) throws TorporException {
        String where = pod.getSpec().getNodeName();
        if (where != null && !where.equals(nodeName)) {
            throw new TorporException(
                    FailureReason.VMRunning,
                    "Pod %s of VM %s is on node %s, and its memory is on node %s. Delete the pod: the next one is held for the right node. The image is safe."
                            .formatted(
                                    pod.getMetadata().getName(),
                                    snapshot.getSpec().vmName(),
                                    where,
                                    nodeName));
        }
    }

    private void requireStore(VMSnapshot snapshot, String nodeName) throws TorporException {
        var status = snapshot.getStatus();
        switch (stores.look(nodeName, status.getNodeUID(), status.getStoreID())) {
            case StoreState.Alive _ -> {}
            case StoreState.Away(String message) -> throw new TorporException(FailureReason.StoreUnavailable, message);
            case StoreState.NodeGone(String message) ->
                throw new TorporException(FailureReason.StoreUnavailable, message);
        }
    }

    private void requireSchedulable(VMSnapshot snapshot, Optional<Pod> pod, String nodeName) throws TorporException {
        Node node = client.nodes().withName(nodeName).get();
        Optional<String> maintenance = node == null ? Optional.empty() : NodeLeave.maintenance(node);
        if (maintenance.isPresent()) {
            throw new TorporException(
                    FailureReason.NodeUnschedulable,
                    "Node %s, which has the memory of VM %s, is in maintenance. The VM starts when %s is gone. The image is safe."
                            .formatted(nodeName, snapshot.getSpec().vmName(), maintenance.get()));
        }
        if (node != null && NodeLeave.isCordoned(node)) {
            throw new TorporException(
                    FailureReason.NodeUnschedulable,
                    "Node %s, which has the memory of VM %s, is cordoned. The VM starts after kubectl uncordon %s. The image is safe."
                            .formatted(nodeName, snapshot.getSpec().vmName(), nodeName));
        }
        // Let go, it would be Pending, and have a turn of the node's that others wait for.
        Optional<Taint> taint =
                node == null || pod.isEmpty() || pod.get().getSpec().getNodeName() != null
                        ? Optional.empty()
                        : NodeLeave.taints(node).stream()
                                .filter(each -> KEEP_OFF.contains(each.getEffect()))
                                .filter(each -> pod.get().getSpec().getTolerations().stream()
                                        .noneMatch(toleration -> tolerates(toleration, each)))
                                .findFirst();
        if (taint.isPresent()) {
            throw new TorporException(
                    FailureReason.NodeUnschedulable,
                    "Node %s, which has the memory of VM %s, has the taint %s:%s, which pod %s does not tolerate. The VM starts when it is gone. The image is safe."
                            .formatted(
                                    nodeName,
                                    snapshot.getSpec().vmName(),
                                    taint.get().getKey(),
                                    taint.get().getEffect(),
                                    pod.get().getMetadata().getName()));
        }
    }

    /** As the scheduler sees it (Toleration.ToleratesTaint of k8s.io/api/core/v1). */
    private static boolean tolerates(Toleration toleration, Taint taint) {
        return isUnsetOr(toleration.getEffect(), taint.getEffect())
                && isUnsetOr(toleration.getKey(), taint.getKey())
                && (!isUnsetOr(
                                toleration.getOperator(),
                                "Equal") // Exists, or one that is newer than we are: the scheduler knows
                        || Objects.requireNonNullElse(toleration.getValue(), "")
                                .equals(Objects.requireNonNullElse(taint.getValue(), "")));
    }

    private static boolean isUnsetOr(@Nullable String wanted, @Nullable String is) {
        return wanted == null || wanted.isEmpty() || wanted.equals(is);
    }

    private void requireNoRollout(VMSnapshot snapshot, Pod pod) throws TorporException {
        Optional<OwnerReference> owner =
                VmPods.controllerOf(pod).filter(controller -> "StatefulSet".equals(controller.getKind()));
        if (owner.isEmpty()) {
            return;
        }
        StatefulSet set = client.apps()
                .statefulSets()
                .inNamespace(pod.getMetadata().getNamespace())
                .withName(owner.get().getName())
                .get();
        if (set == null || !Rollout.reaches(set.getSpec(), pod.getMetadata().getName())) {
            return;
        }
        boolean seen = set.getStatus() != null
                && Objects.equals(
                        set.getStatus().getObservedGeneration(),
                        set.getMetadata().getGeneration());
        if (!seen
                || !Objects.equals(
                        set.getStatus().getUpdateRevision(),
                        pod.getMetadata().getLabels().get(REVISION_LABEL))) {
            throw new TorporException(
                    FailureReason.RolloutPending,
                    "StatefulSet %s has a new template and updateStrategy RollingUpdate: it would delete pod %s as soon as VM %s is back. Put the template back, or set updateStrategy OnDelete. The image is safe."
                            .formatted(
                                    set.getMetadata().getName(),
                                    pod.getMetadata().getName(),
                                    snapshot.getSpec().vmName()));
        }
    }

    private void requireSameDefinition(VMSnapshot snapshot, Pod pod) throws TorporException {
        Optional<RecordedManifests.Recorded> recorded = manifests.read(snapshot);
        if (recorded.isEmpty() && Terminations.isAdopting(snapshot)) {
            return; // its pod was gone before we saw it; the agent compares QEMU with the image all the same
        }
        if (recorded.isEmpty()) {
            throw RecordedManifests.missing(snapshot);
        }
        List<String> differences = PodDefinition.differences(recorded.get().pod(), PodManifest.of(pod));
        if (!differences.isEmpty()) {
            throw new TorporException(
                    FailureReason.DefinitionChanged,
                    "Pod %s is not the VM that was saved: its %s changed. Put it back, or give up the memory of VM %s (annotate VMSnapshot %s with torpor.dev/discard=true and delete it). The image is safe."
                            .formatted(
                                    pod.getMetadata().getName(),
                                    String.join(", ", differences),
                                    snapshot.getSpec().vmName(),
                                    snapshot.getMetadata().getName()));
        }
    }
}
