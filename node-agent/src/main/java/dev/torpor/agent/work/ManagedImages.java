package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageRecord;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.launch.StartFacts.SavedImage;
import dev.torpor.agent.launch.VmName;
import dev.torpor.agent.launch.VmRecord;
import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.NodeStore;
import dev.torpor.api.v1alpha1.TerminationSave;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.failure.TorporException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * The managed images of a VM that keep it from booting. Of those in this node's store the records decide, which are never
 * behind; of all others what the API server says.
 */
final class ManagedImages {
    private final Node node;

    ManagedImages(Node node) {
        this.node = node;
    }

    /** Returns the image in this store that waits for a VM, if one does. */
    Optional<SavedImage> here(VmName vm, VmRecord journal) throws TorporException {
        return waiting(node.store().list(vm.namespace(), vm.name()), journal)
                .map(record -> new SavedImage(
                        node.cluster()
                                .snapshotOf(record.id())
                                .map(snapshot -> snapshot.getMetadata().getName())
                                .orElse("of UID " + record.id().uid()),
                        "saved here"));
    }

    /** Finds the managed image that is of a VM's last run and was not resumed. */
    static Optional<ImageRecord> waiting(List<ImageRecord> records, VmRecord journal) {
        return records.stream()
                .filter(record -> record.intent().mode() == ImageMode.MANAGED_SAVE)
                .filter(record ->
                        record.state() instanceof ImageState.Complete || record.state() instanceof ImageState.Verified)
                .filter(record -> record.intent().runNumber() == journal.runs())
                .findFirst();
    }

    /**
     * Returns the images of other stores that wait for a VM, or are being made from its last run there, and those that
     * should be in this store and are not.
     */
    List<SavedImage> elsewhere(VmName vm) throws TorporException {
        List<SavedImage> waiting = new ArrayList<>();
        List<VMSnapshot> snapshots = node.cluster().snapshotsOf(vm);
        for (VMSnapshot object : snapshots) {
            SnapshotView snapshot = SnapshotView.of(object);
            boolean here = snapshot.storeID().equals(Optional.of(node.store().storeID()));
            if (holds(
                    snapshot,
                    here,
                    here && node.store().record(snapshot.image()).isPresent())) {
                String how = snapshot.saved() ? "saved on node " : "being saved on node ";
                waiting.add(new SavedImage(
                        object.getMetadata().getName(), how + object.getStatus().getNodeName()));
            }
        }
        for (NodeStore store : node.cluster().nodeStores()) {
            if (store.getStatus() != null
                    && !node.store().storeID().equals(store.getStatus().storeID())) {
                store.getStatus().saves().stream()
                        .filter(save -> save.isOf(vm.namespace(), vm.name()))
                        .filter(save -> snapshots.stream().noneMatch(object -> standsFor(object, save)))
                        .map(save -> new SavedImage(
                                save.snapshotName(),
                                (Boolean.TRUE.equals(save.saved()) ? "saved on node " : "being saved on node ")
                                        + store.getMetadata().getName()))
                        .forEach(waiting::add);
            }
        }
        return waiting;
    }

    /** Tells whether a bound snapshot stands for an image that an agent made by itself: then the snapshot decides. */
    private static boolean standsFor(VMSnapshot object, TerminationSave save) {
        SnapshotView snapshot = SnapshotView.of(object);
        return snapshot.adopts()
                && snapshot.image().uid().equals(save.image())
                && snapshot.storeID().isPresent();
    }

    /**
     * Tells whether a snapshot keeps its VM from booting, by what the API server says of it.
     *
     * @param here whether it was bound to this node's store
     * @param recorded whether its image has a record here, which then decides instead
     */
    static boolean holds(SnapshotView snapshot, boolean here, boolean recorded) {
        boolean bound = snapshot.storeID().isPresent() && !snapshot.failed() && !snapshot.imported();
        boolean givenUp = snapshot.object().getMetadata().getDeletionTimestamp() != null && snapshot.discard();
        if (snapshot.mode() != ImageMode.MANAGED_SAVE || !bound || givenUp || isOver(snapshot.object())) {
            return false;
        }
        // A save of this node that has not begun does not hold its VM.
        return !here || (snapshot.saved() && !recorded);
    }

    /** Tells whether status says that an image waits no more. */
    static boolean isOver(VMSnapshot object) {
        VMSnapshotStatus status = object.getStatus();
        if (status == null) {
            return false;
        }
        String available = Conditions.reason(status.getConditions(), ConditionType.IMAGE_AVAILABLE);
        return status.getConsumedBy() != null || "Consumed".equals(available) || "Stale".equals(available);
    }
}
