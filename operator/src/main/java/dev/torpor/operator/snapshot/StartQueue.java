package dev.torpor.operator.snapshot;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.Imported;
import dev.torpor.api.v1alpha1.RestorePhase;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMRestoreStatus;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.failure.FailureReason;
import dev.torpor.operator.vm.ManagedImages;
import dev.torpor.operator.vm.VmName;
import dev.torpor.operator.vm.VmUse;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * The order in which the VMs of a node are started again: by the priority of their pods, then by name, a few at a time, as
 * they share one disk. Candidates are the snapshots whose condition Resumable says Queued, and those that it says wait for
 * the very node and store which are found back: they are queued as soon as they are looked at, and may be more important.
 */
final class StartQueue {
    /** How many VMs of a node are started at the same time. */
    static final int AT_ONCE = 2;

    private static final Set<String> OF_THE_NODE =
            Set.of(FailureReason.NodeUnschedulable.name(), FailureReason.StoreUnavailable.name());

    /** Annotation of a restore that the operator made: the node, for as long as its status does not tell it. */
    static final String NODE_ANNOTATION = "torpor.dev/node";

    private final KubernetesClient client;

    StartQueue(KubernetesClient client) {
        this.client = client;
    }

    /** Returns whether it is a snapshot's turn. To be asked, and the start written, by one thread at a time. */
    boolean isTurnOf(VMSnapshot snapshot, String nodeName) {
        long atWork = client.resources(VMRestore.class).inAnyNamespace().list().getItems().stream()
                .filter(restore -> isUnderWay(restore, nodeName))
                .count();
        if (atWork >= AT_ONCE) {
            return false;
        }
        Map<VmName, Integer> priorities = priorities();
        Comparator<VMSnapshot> order = Comparator.comparing(
                        (VMSnapshot queued) -> priorities.getOrDefault(vm(queued), 0), Comparator.reverseOrder())
                .thenComparing(queued -> queued.getMetadata().getNamespace())
                .thenComparing(queued -> queued.getMetadata().getName());
        String uid = snapshot.getMetadata().getUid();
        return client.resources(VMSnapshot.class).inAnyNamespace().list().getItems().stream()
                .filter(other -> uid.equals(other.getMetadata().getUid()) || isCandidate(other, snapshot))
                .sorted(order)
                .limit(AT_ONCE - atWork)
                .anyMatch(first -> uid.equals(first.getMetadata().getUid()));
    }

    private Map<VmName, Integer> priorities() {
        Map<VmName, Integer> priorities = new HashMap<>();
        for (Pod pod :
                client.pods().inAnyNamespace().withLabel(Torpor.VM_LABEL).list().getItems()) {
            priorities.merge(
                    new VmName(
                            pod.getMetadata().getNamespace(),
                            pod.getMetadata().getLabels().getOrDefault(Torpor.VM_LABEL, "")),
                    Objects.requireNonNullElse(pod.getSpec().getPriority(), 0),
                    Math::max);
        }
        return priorities;
    }

    private static VmName vm(VMSnapshot snapshot) {
        return new VmName(
                snapshot.getMetadata().getNamespace(), snapshot.getSpec().vmName());
    }

    private static boolean isCandidate(VMSnapshot other, VMSnapshot queued) {
        VMSnapshotStatus theirs = other.getStatus();
        VMSnapshotStatus ours = queued.getStatus();
        if (theirs == null
                || Imported.hasStatusOfAnother(other)
                || !Objects.equals(theirs.getNodeName(), ours.getNodeName())) {
            return false;
        }
        String reason = Conditions.reason(theirs.getConditions(), ConditionType.RESUMABLE);
        // Another store of that node may stay away for ever.
        boolean sameStore = Objects.equals(theirs.getNodeUID(), ours.getNodeUID())
                && Objects.equals(theirs.getStoreID(), ours.getStoreID());
        return SnapshotReason.Queued.name().equals(reason)
                || (sameStore && reason != null && OF_THE_NODE.contains(reason) && ManagedImages.waits(other));
    }

    private static boolean isUnderWay(VMRestore restore, String nodeName) {
        VMRestoreStatus status = restore.getStatus();
        if (status == null || status.getNodeName() == null) {
            boolean ended = status != null && status.getPhase() == RestorePhase.Failed;
            return !ended
                    && nodeName.equals(
                            Objects.requireNonNullElse(restore.getMetadata().getAnnotations(), Map.of())
                                    .get(NODE_ANNOTATION));
        }
        return nodeName.equals(status.getNodeName()) && VmUse.isAtWork(restore);
    }
}
