package dev.torpor.operator.restore;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.DisksPolicy;
import dev.torpor.api.v1alpha1.Imported;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import dev.torpor.operator.vm.Claims;
import dev.torpor.operator.vm.ManagedImages;
import dev.torpor.operator.vm.RecordedManifests;
import dev.torpor.operator.vm.StartChecks;
import dev.torpor.operator.vm.StoreState;
import dev.torpor.operator.vm.Stores;
import dev.torpor.operator.vm.Terminations;
import dev.torpor.operator.vm.VmName;
import dev.torpor.operator.vm.VmPods;
import dev.torpor.operator.vm.VmUse;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.util.List;
import java.util.Objects;
import java.util.Optional;

/** Decides whether a restore can be bound to the node of its image. */
final class RestoreAdmission {
    private final KubernetesClient client;
    private final VmPods pods;
    private final RecordedManifests manifests;
    private final VmUse use;
    private final Stores stores;
    private final StartChecks checks;
    private final Claims claims;

    RestoreAdmission(KubernetesClient client, VmPods pods, RecordedManifests manifests, VmUse use, Stores stores) {
        this.client = client;
        this.pods = pods;
        this.manifests = manifests;
        this.use = use;
        this.stores = stores;
        this.checks = new StartChecks(client, manifests, stores);
        this.claims = new Claims(client);
    }

    /**
     * Returns what the restore is bound to. To be called under the namespace's admission lock.
     *
     * @throws TorporException with the reason for which it cannot be bound, or not yet
     */
    RestoreSituation.Binding admit(VMRestore restore) throws TorporException {
        Optional<String> mark = Imported.mark(restore.getMetadata());
        if (mark.isPresent()) {
            throw new TorporException(
                    FailureReason.RestoredFromBackup,
                    "It was restored from a backup, as %s tells, and is not carried out again. Make a new VMRestore. The image is safe."
                            .formatted(mark.get()));
        }
        String namespace = restore.getMetadata().getNamespace();
        VMSnapshot snapshot = requireSnapshot(namespace, restore.getSpec().snapshotName());
        VmName vm = new VmName(namespace, snapshot.getSpec().vmName());
        VMSnapshotStatus status = requireRestorable(snapshot);
        use.requireFree(vm);
        requireDisks(restore, snapshot);
        if (manifests.read(snapshot).isEmpty() && !Terminations.isAdopting(snapshot)) {
            throw RecordedManifests.missing(snapshot);
        }
        if (snapshot.getSpec().mode() == SaveMode.ManagedSave) {
            checks.require(snapshot, heldPod(vm), disks(restore));
        } else {
            requireStopped(vm, snapshot);
        }
        String nodeName = Objects.requireNonNull(status.getNodeName(), "a snapshot that is Ready is bound");
        requireStore(nodeName, status);
        return new RestoreSituation.Binding(
                nodeName,
                snapshot.getMetadata().getUid(),
                Terminations.imageUid(snapshot),
                vm.name(),
                Optional.ofNullable(status.getPodIP()));
    }

    private VMSnapshot requireSnapshot(String namespace, String name) throws TorporException {
        VMSnapshot snapshot = client.resources(VMSnapshot.class)
                .inNamespace(namespace)
                .withName(name)
                .get();
        if (snapshot == null) {
            throw new TorporException(
                    FailureReason.SnapshotNotFound,
                    "There is no VMSnapshot %s in namespace %s. Name the right one in a new VMRestore."
                            .formatted(name, namespace));
        }
        return snapshot;
    }

    private static VMSnapshotStatus requireRestorable(VMSnapshot snapshot) throws TorporException {
        String name = snapshot.getMetadata().getName();
        VMSnapshotStatus status = Objects.requireNonNullElseGet(snapshot.getStatus(), VMSnapshotStatus::new);
        if (snapshot.getMetadata().getDeletionTimestamp() != null && !ManagedImages.waits(snapshot)) {
            throw unusable(name, "it is being deleted");
        }
        if (Imported.hasStatusOfAnother(snapshot)) {
            throw unusable(name, "its status was restored from a backup and is another object's");
        }
        if (Conditions.isTrue(status.getConditions(), ConditionType.READY)
                || status.getPhase() == SnapshotPhase.Resuming) {
            return status;
        }
        String why = Conditions.find(status.getConditions(), ConditionType.READY)
                .map(RestoreAdmission::describe)
                .orElse("it was not looked at yet.");
        if (status.getPhase() == SnapshotPhase.Consumed
                || Conditions.isTrue(status.getConditions(), ConditionType.STALLED)) {
            throw unusable(name, why);
        }
        throw new TorporException(
                FailureReason.SnapshotNotReady,
                "VMSnapshot %s is not Ready: %s This restore waits for it.".formatted(name, why));
    }

    private static String describe(Condition ready) {
        return ready.getReason() + ": " + ready.getMessage();
    }

    private static TorporException unusable(String name, String why) {
        return new TorporException(
                FailureReason.SnapshotUnusable,
                "VMSnapshot %s cannot be restored: %s".formatted(name, why.endsWith(".") ? why : why + "."));
    }

    private void requireStopped(VmName vm, VMSnapshot snapshot) throws TorporException {
        List<Pod> live = pods.live(vm);
        if (live.isEmpty()) {
            return;
        }
        String pod = live.getFirst().getMetadata().getName();
        if (live.stream().allMatch(VmPods::isTerminating)) {
            throw new TorporException(
                    FailureReason.VMBusy,
                    "Pod %s of VM %s is still being deleted. This restore waits for its end. The image is safe."
                            .formatted(pod, vm.name()));
        }
        throw new TorporException(
                FailureReason.VMRunning,
                "VM %s is still there, in pod %s. Delete that pod, then make a new VMRestore of %s. The image is safe."
                        .formatted(vm.name(), pod, snapshot.getMetadata().getName()));
    }

    // A managed image is for the next pod of its VM, which waits for it.
    private Optional<Pod> heldPod(VmName vm) throws TorporException {
        List<Pod> live = pods.live(vm);
        if (live.size() > 1 || live.stream().anyMatch(VmPods::isTerminating)) {
            throw new TorporException(
                    FailureReason.VMBusy,
                    "VM %s has pods that are being deleted, or several. This restore waits until one is left. The image is safe."
                            .formatted(vm.name()));
        }
        return live.stream().findFirst();
    }

    /** Returns what the user says of the VM's disks. */
    static DisksPolicy disks(VMRestore restore) {
        return Objects.requireNonNullElse(restore.getSpec().disks(), DisksPolicy.Unchanged);
    }

    private void requireDisks(VMRestore restore, VMSnapshot snapshot) throws TorporException {
        DisksPolicy disks = disks(restore);
        if (disks == DisksPolicy.Unchanged) {
            claims.requireSame(snapshot);
        }
        if (snapshot.getSpec().mode() == SaveMode.Checkpoint && disks == DisksPolicy.Unchanged) {
            throw new TorporException(
                    FailureReason.VMRanSince,
                    "VM %s carried on after checkpoint %s, so its disks have moved on. Put them back and say spec.disks: Restored in a new VMRestore, or Ephemeral if they do not matter. The image is safe."
                            .formatted(
                                    snapshot.getSpec().vmName(),
                                    snapshot.getMetadata().getName()));
        }
    }

    private void requireStore(String nodeName, VMSnapshotStatus status) throws TorporException {
        switch (stores.look(nodeName, status.getNodeUID(), status.getStoreID())) {
            case StoreState.Alive _ -> {}
            case StoreState.Away(String message) -> throw new TorporException(FailureReason.StoreUnavailable, message);
            case StoreState.NodeGone(String message) ->
                throw new TorporException(FailureReason.StoreUnavailable, message);
        }
    }
}
