package dev.torpor.operator.restore;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.FailureStatus;
import dev.torpor.api.v1alpha1.Imported;
import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMRestoreStatus;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import dev.torpor.operator.vm.PodManifest;
import dev.torpor.operator.vm.RecordedManifests;
import dev.torpor.operator.vm.StartChecks;
import dev.torpor.operator.vm.StoreState;
import dev.torpor.operator.vm.Stores;
import dev.torpor.operator.vm.Terminations;
import dev.torpor.operator.vm.VmName;
import dev.torpor.operator.vm.VmPods;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.stream.Stream;

/** Reads the situation of a VMRestore. All reads go to the API server; nothing is changed. */
final class RestoreObserver {
    private final KubernetesClient client;
    private final RestoreAdmission admission;
    private final VmPods pods;
    private final RecordedManifests manifests;
    private final Stores stores;
    private final StartChecks checks;

    RestoreObserver(
            KubernetesClient client,
            RestoreAdmission admission,
            VmPods pods,
            RecordedManifests manifests,
            Stores stores) {
        this.client = client;
        this.admission = admission;
        this.pods = pods;
        this.manifests = manifests;
        this.stores = stores;
        this.checks = new StartChecks(client, manifests, stores);
    }

    /** Returns whether a restore is still to be admitted, which must be done under the admission lock. */
    static boolean isUnbound(VMRestore restore) {
        return restore.getStatus() == null || restore.getStatus().getNodeName() == null;
    }

    RestoreSituation observe(VMRestore restore) {
        VMRestoreStatus status = Objects.requireNonNullElseGet(restore.getStatus(), VMRestoreStatus::new);
        if (restore.getMetadata().getDeletionTimestamp() != null || Imported.hasStatusOfAnother(restore)) {
            return new RestoreSituation.Ended();
        }
        String nodeName = status.getNodeName();
        if (nodeName == null) {
            return unbound(restore, status);
        }
        Optional<Condition> resumed = Conditions.find(status.getConditions(), ConditionType.RESUMED)
                .filter(condition -> "True".equals(condition.getStatus()));
        Optional<Condition> damaged = Conditions.find(status.getConditions(), ConditionType.VERIFIED)
                .filter(condition -> FailureReason.ImageDamaged.name().equals(condition.getReason()));
        if (resumed.isPresent() && damaged.isPresent()) {
            return new RestoreSituation.Damaged(damaged.get().getMessage());
        }
        if (resumed.isPresent()) {
            return new RestoreSituation.Resumed(
                    how(resumed.get().getReason()), ownPod(restore, status).flatMap(VmPods::addressOf));
        }
        Optional<Pod> pod = ownPod(restore, status);
        FailureStatus failure = status.getFailure();
        Optional<Condition> stalled = Conditions.find(status.getConditions(), ConditionType.STALLED);
        if (stalled.isPresent()) {
            String reason = stalled.get().getReason();
            // Of a pod that is on the gone node its guest may run after all: Kubernetes removes it, or the node comes
            // back.
            boolean lost = RestoreReason.NodeGone.name().equals(reason)
                    && pod.filter(found -> found.getSpec().getNodeName() != null)
                            .isPresent();
            return new RestoreSituation.Failed(
                    reason, stalled.get().getMessage(), lost ? Optional.empty() : deletable(pod));
        }
        if (failure != null) {
            return new RestoreSituation.Failed(
                    Objects.requireNonNullElse(failure.reason(), FailureReason.Internal.name()),
                    Objects.requireNonNullElse(failure.message(), "The image is safe."),
                    deletable(pod));
        }
        return atWork(restore, status, nodeName, pod);
    }

    // Of a later agent's reasons only that the VM is back is known.
    private static RestoreReason how(String reason) {
        return Stream.of(RestoreReason.Paused, RestoreReason.Ended, RestoreReason.NotContinued)
                .filter(known -> known.name().equals(reason))
                .findFirst()
                .orElse(RestoreReason.Running);
    }

    private RestoreSituation unbound(VMRestore restore, VMRestoreStatus status) {
        if (Conditions.isTrue(status.getConditions(), ConditionType.STALLED)) {
            return new RestoreSituation.Ended();
        }
        try {
            return new RestoreSituation.Admissible(admission.admit(restore));
        } catch (TorporException e) {
            return new RestoreSituation.Refused(e.reason(), Objects.requireNonNullElse(e.getMessage(), ""));
        }
    }

    private RestoreSituation atWork(VMRestore restore, VMRestoreStatus status, String nodeName, Optional<Pod> pod) {
        StoreState store = stores.look(nodeName, null, null);
        if (pod.isPresent()) {
            ObjectName name = VmPods.nameOf(pod.get());
            return RestoreReason.Loading.name().equals(Conditions.reason(status.getConditions(), ConditionType.RESUMED))
                    ? new RestoreSituation.Loading(name, store)
                    : new RestoreSituation.PodStarting(name, store);
        }
        ObjectName created = status.getPod();
        if (created != null) {
            // It may have been fed already, so another one is never made for the same restore.
            return new RestoreSituation.Failed(
                    FailureReason.PodGone.name(),
                    "Pod %s went away before VM %s ran. Make a new VMRestore. The image is safe."
                            .formatted(created.name(), status.getVmName()),
                    Optional.empty());
        }
        if (!Conditions.isTrue(status.getConditions(), ConditionType.IMAGE_AVAILABLE)) {
            return new RestoreSituation.CheckingImage(store);
        }
        return store instanceof StoreState.NodeGone
                ? new RestoreSituation.AwaitingPod(store)
                : podMissing(restore, status, nodeName, store);
    }

    private RestoreSituation podMissing(VMRestore restore, VMRestoreStatus status, String nodeName, StoreState store) {
        String namespace = restore.getMetadata().getNamespace();
        VMSnapshot snapshot = client.resources(VMSnapshot.class)
                .inNamespace(namespace)
                .withName(restore.getSpec().snapshotName())
                .get();
        if (snapshot == null || !snapshot.getMetadata().getUid().equals(status.getSnapshotUID())) {
            return new RestoreSituation.Failed(
                    FailureReason.SnapshotNotFound.name(),
                    "VMSnapshot %s was deleted while it was being restored."
                            .formatted(restore.getSpec().snapshotName()),
                    Optional.empty());
        }
        List<Pod> others = pods.live(new VmName(namespace, snapshot.getSpec().vmName()));
        boolean managed = snapshot.getSpec().mode() == SaveMode.ManagedSave;
        if (managed && !others.isEmpty()) {
            return others.size() > 1 || VmPods.isTerminating(others.getFirst())
                    ? new RestoreSituation.AwaitingPod(store)
                    : held(restore, snapshot, others.getFirst());
        }
        if (!others.isEmpty()) {
            return new RestoreSituation.Failed(
                    FailureReason.VMRunning.name(),
                    "VM %s was started meanwhile, in pod %s. Delete that pod, then make a new VMRestore. The image is safe."
                            .formatted(
                                    snapshot.getSpec().vmName(),
                                    others.getFirst().getMetadata().getName()),
                    Optional.empty());
        }
        Optional<RecordedManifests.Recorded> recorded = manifests.read(snapshot);
        if (recorded.isEmpty() && Terminations.isAdopting(snapshot)) {
            return new RestoreSituation.AwaitingPod(store);
        }
        if (recorded.isEmpty()) {
            return RestoreSituation.of(RecordedManifests.missing(snapshot));
        }
        if (managed && recorded.get().controlled()) {
            return new RestoreSituation.AwaitingPod(store);
        }
        return new RestoreSituation.PodMissing(PodManifest.forRestore(
                recorded.get().pod(), restore.getMetadata().getUid(), nodeName));
    }

    // It may have been replaced by another definition since the restore was admitted.
    private RestoreSituation held(VMRestore restore, VMSnapshot snapshot, Pod pod) {
        try {
            checks.require(snapshot, Optional.of(pod), RestoreAdmission.disks(restore));
        } catch (TorporException e) {
            return RestoreSituation.of(e);
        }
        return new RestoreSituation.PodHeld(pod);
    }

    // By its mark, not by status: the operator may have died between creating the pod and writing that down.
    private Optional<Pod> ownPod(VMRestore restore, VMRestoreStatus status) {
        String vm = status.getVmName();
        if (vm == null) {
            return Optional.empty();
        }
        return pods.live(new VmName(restore.getMetadata().getNamespace(), vm)).stream()
                .filter(pod -> restore.getMetadata()
                        .getUid()
                        .equals(pod.getMetadata().getAnnotations().get(Torpor.RESTORE_ANNOTATION)))
                .findFirst();
    }

    private static Optional<ObjectName> deletable(Optional<Pod> pod) {
        return pod.filter(found -> !VmPods.isTerminating(found)).map(VmPods::nameOf);
    }
}
