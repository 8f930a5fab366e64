package dev.torpor.operator.snapshot;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.ConsumedBy;
import dev.torpor.api.v1alpha1.FailureStatus;
import dev.torpor.api.v1alpha1.Imported;
import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMRestoreStatus;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import dev.torpor.operator.vm.ManagedImages;
import dev.torpor.operator.vm.ShutdownOrder;
import dev.torpor.operator.vm.StoreState;
import dev.torpor.operator.vm.Stores;
import dev.torpor.operator.vm.VmPods;
import dev.torpor.operator.vm.VmUse;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.Namespace;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.util.List;
import java.util.Objects;
import java.util.Optional;

/** Reads the situation of a VMSnapshot. All reads go to the API server; nothing is changed. */
final class SnapshotObserver {
    private final KubernetesClient client;
    private final SnapshotAdmission admission;
    private final VmPods pods;
    private final Stores stores;
    private final VolumeSnapshots volumeSnapshots;
    private final ManagedStart managed;

    SnapshotObserver(
            KubernetesClient client,
            SnapshotAdmission admission,
            VmPods pods,
            Stores stores,
            VolumeSnapshots volumeSnapshots,
            ManagedStart managed) {
        this.client = client;
        this.admission = admission;
        this.pods = pods;
        this.stores = stores;
        this.volumeSnapshots = volumeSnapshots;
        this.managed = managed;
    }

    /** Returns whether a snapshot is still to be admitted, which must be done under the admission lock. */
    static boolean isUnbound(VMSnapshot snapshot) {
        return snapshot.getStatus() == null || snapshot.getStatus().getNodeName() == null;
    }

    /** Returns whether a look may start the VM of a snapshot, which must be done one after the other. */
    static boolean mayStart(VMSnapshot snapshot) {
        return ManagedImages.waits(snapshot);
    }

    SnapshotSituation observe(VMSnapshot snapshot) {
        VMSnapshotStatus status = Objects.requireNonNullElseGet(snapshot.getStatus(), VMSnapshotStatus::new);
        boolean finalizer = snapshot.getMetadata().getFinalizers().contains(Torpor.IMAGE_FINALIZER);
        boolean deleted = snapshot.getMetadata().getDeletionTimestamp() != null;
        if (Imported.hasStatusOfAnother(snapshot)) {
            // Whatever it says was never done for this object.
            return deleted && finalizer
                    ? new SnapshotSituation.DeletedUnbound()
                    : new SnapshotSituation.StatusOfAnother();
        }
        String nodeName = status.getNodeName();
        if (nodeName == null) {
            if (deleted) {
                return finalizer ? new SnapshotSituation.DeletedUnbound() : new SnapshotSituation.Ended();
            }
            return unbound(snapshot, status, finalizer);
        }
        // A managed image that waits is not let go by the way: it can still be started, until somebody discards it.
        if (deleted && !(finalizer && ManagedImages.waits(snapshot))) {
            return deleted(snapshot, status, nodeName, finalizer);
        }
        if (deleted && isTerminating(snapshot.getMetadata().getNamespace())) {
            return new SnapshotSituation.NamespaceDeleted();
        }
        if (Conditions.isTrue(status.getConditions(), ConditionType.SAVED)) {
            return saved(snapshot, status, nodeName);
        }
        FailureStatus failure = status.getFailure();
        if (failure != null) {
            return new SnapshotSituation.GaveUp(
                    Objects.requireNonNullElse(failure.reason(), FailureReason.Internal.name()),
                    ShutdownOrder.is(snapshot)
                            ? "Node %s is about to be deleted, so VM %s is not saved: its guest is asked to shut down."
                                    .formatted(nodeName, snapshot.getSpec().vmName())
                            : Objects.requireNonNullElse(failure.message(), ""),
                    VolumeSnapshots.ofFailure(snapshot));
        }
        return new SnapshotSituation.InWork(
                stores.look(nodeName, status.getNodeUID(), status.getStoreID()), volumeSnapshots.ofSave(snapshot));
    }

    private boolean isTerminating(String name) {
        Namespace namespace = client.namespaces().withName(name).get();
        return namespace != null && namespace.getMetadata().getDeletionTimestamp() != null;
    }

    private SnapshotSituation unbound(VMSnapshot snapshot, VMSnapshotStatus status, boolean finalizer) {
        if (Conditions.isTrue(status.getConditions(), ConditionType.STALLED)) {
            return new SnapshotSituation.Ended();
        }
        boolean cancelled =
                Boolean.TRUE.equals(snapshot.getSpec().cancel()) || Boolean.TRUE.equals(status.getCancelRequested());
        if (cancelled && !ShutdownOrder.stands(snapshot)) {
            return new SnapshotSituation.CancelledUnbound();
        }
        Optional<String> mark = Imported.mark(snapshot.getMetadata());
        if (mark.isPresent()) {
            return new SnapshotSituation.Refused(
                    FailureReason.RestoredFromBackup,
                    "It was restored from a backup, as %s tells, and is not carried out again: nothing was done to VM %s. To save the VM now, make a new VMSnapshot; this one can be deleted."
                            .formatted(mark.get(), snapshot.getSpec().vmName()));
        }
        if (!finalizer) {
            return new SnapshotSituation.New();
        }
        try {
            return new SnapshotSituation.Admissible(admission.admit(snapshot));
        } catch (TorporException e) {
            return new SnapshotSituation.Refused(e.reason(), Objects.requireNonNullElse(e.getMessage(), ""));
        }
    }

    private SnapshotSituation deleted(
            VMSnapshot snapshot, VMSnapshotStatus status, String nodeName, boolean finalizer) {
        if (!finalizer) {
            return new SnapshotSituation.Ended();
        }
        // A saved pod's next start is refused for good; without its deletion a paused QEMU would stay behind.
        Optional<SnapshotSituation> stopping = Conditions.isTrue(status.getConditions(), ConditionType.SAVED)
                ? stoppingSource(snapshot, status)
                : Optional.empty();
        return stopping.orElseGet(() -> switch (stores.look(nodeName, status.getNodeUID(), null)) {
            case StoreState.NodeGone(String message) -> new SnapshotSituation.DeletedWithNode(message);
            case StoreState.Alive _, StoreState.Away _ -> new SnapshotSituation.DeletedByAgent();
        });
    }

    private SnapshotSituation saved(VMSnapshot snapshot, VMSnapshotStatus status, String nodeName) {
        return stoppingSource(snapshot, status).orElseGet(() -> image(snapshot, status, nodeName));
    }

    private Optional<SnapshotSituation> stoppingSource(VMSnapshot snapshot, VMSnapshotStatus status) {
        ObjectName source = status.getPod();
        if (snapshot.getSpec().mode() == SaveMode.Checkpoint || source == null || source.name() == null) {
            return Optional.empty();
        }
        Optional<Pod> pod = pods.find(snapshot.getMetadata().getNamespace(), source);
        return pod.map(found -> new SnapshotSituation.StoppingSource(source, VmPods.isTerminating(found)));
    }

    private SnapshotSituation image(VMSnapshot snapshot, VMSnapshotStatus status, String nodeName) {
        if (status.getConsumedBy() != null) {
            return new SnapshotSituation.Consumed(status.getConsumedBy());
        }
        List<VMRestore> restores = restoresOf(snapshot);
        if (snapshot.getSpec().mode() != SaveMode.Checkpoint) {
            Optional<VMRestore> done = restores.stream()
                    .filter(restore -> restore.getStatus() != null
                            && Conditions.isTrue(restore.getStatus().getConditions(), ConditionType.RESUMED))
                    .findFirst();
            if (done.isPresent()) {
                return new SnapshotSituation.Consumed(consumedBy(done.get()));
            }
        }
        Optional<Condition> available = Conditions.find(status.getConditions(), ConditionType.IMAGE_AVAILABLE);
        String reason = available.map(Condition::getReason).orElse("");
        if (SnapshotReason.Consumed.name().equals(reason)) {
            return new SnapshotSituation.Consumed(null);
        }
        Optional<VMRestore> active = restores.stream()
                .filter(restore -> VmUse.isAtWork(restore) || isToBeAdmitted(restore))
                .findFirst();
        StoreState store = stores.look(nodeName, status.getNodeUID(), null);
        if (active.isPresent() && !(store instanceof StoreState.NodeGone)) {
            return new SnapshotSituation.BeingRestored(
                    active.get().getMetadata().getName(), ManagedStart.before(snapshot, restores, active.get()));
        }
        if (available.isPresent()
                && (SnapshotReason.Stale.name().equals(reason)
                        || "False".equals(available.get().getStatus()))) {
            return new SnapshotSituation.ImageUnusable(reason, available.get().getMessage());
        }
        if (store instanceof StoreState.NodeGone(String message)) {
            return new SnapshotSituation.ImageUnusable(
                    SnapshotReason.NodeGone.name(), message + " The image was in its store.");
        }
        if (VolumeSnapshots.isWithoutSome(snapshot)) {
            return new SnapshotSituation.ImageUnusable(
                    FailureReason.VolumeSnapshotFailed.name(),
                    "The agent of node %s saved the memory of VM %s without waiting for its VolumeSnapshots: it is of an older release. Update it, and make a new VMSnapshot. The VM runs."
                            .formatted(nodeName, snapshot.getSpec().vmName()));
        }
        return ManagedImages.waits(snapshot)
                ? managed.observe(snapshot, nodeName, restores)
                : new SnapshotSituation.Restorable(nodeName, volumeSnapshots.ofImage(snapshot));
    }

    private List<VMRestore> restoresOf(VMSnapshot snapshot) {
        String uid = snapshot.getMetadata().getUid();
        return client
                .resources(VMRestore.class)
                .inNamespace(snapshot.getMetadata().getNamespace())
                .list()
                .getItems()
                .stream()
                .filter(restore -> (restore.getStatus() != null
                                && uid.equals(restore.getStatus().getSnapshotUID()))
                        || restore.getMetadata().getOwnerReferences().stream()
                                .anyMatch(owner -> uid.equals(owner.getUid())))
                .toList();
    }

    // Of those that name the snapshot only ours are certain to be meant for it.
    private static boolean isToBeAdmitted(VMRestore restore) {
        VMRestoreStatus status = restore.getStatus();
        return restore.getMetadata().getDeletionTimestamp() == null
                && (status == null
                        || (status.getNodeName() == null
                                && !Conditions.isTrue(status.getConditions(), ConditionType.STALLED)));
    }

    private static ConsumedBy consumedBy(VMRestore restore) {
        VMRestoreStatus status = restore.getStatus();
        ObjectName pod = status.getPod();
        return new ConsumedBy(
                restore.getMetadata().getName(),
                pod == null ? null : pod.name(),
                pod == null ? null : pod.uid(),
                status.getCompletionTime());
    }
}
