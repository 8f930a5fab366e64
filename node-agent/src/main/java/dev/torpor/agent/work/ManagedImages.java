package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageRecord;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.launch.StartFacts.SavedImage;
import dev.torpor.agent.launch.VmName;
import dev.torpor.agent.launch.VmRecord;
import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
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
        for (ImageRecord record : node.store().list(vm.namespace(), vm.name())) {
            if (record.intent().mode() == ImageMode.MANAGED_SAVE
                    && isFresh(record)
                    && record.intent().runNumber() == journal.runs()) {
                String name = node.cluster()
                        .snapshotOf(record.id())
                        .map(snapshot -> snapshot.getMetadata().getName())
                        .orElse("of UID " + record.id().uid());
                return Optional.of(new SavedImage(name, "saved here"));
            }
        }
        return Optional.empty();
    }

    /**
     * Returns the images of other stores that wait for a VM, or are being made from its last run there, and those that
     * should be in this store and are not.
     */
    List<SavedImage> elsewhere(VmName vm) throws TorporException {
        List<SavedImage> waiting = new ArrayList<>();
        for (VMSnapshot object : node.cluster().snapshotsOf(vm)) {
            SnapshotView snapshot = SnapshotView.of(object);
            boolean stops = snapshot.mode() == ImageMode.MANAGED_SAVE;
            if (stops && snapshot.storeID().isPresent() && !snapshot.failed() && waits(snapshot)) {
                String how = snapshot.saved() ? "saved on node " : "being saved on node ";
                waiting.add(new SavedImage(
                        object.getMetadata().getName(), how + object.getStatus().getNodeName()));
            }
        }
        return waiting;
    }

    private boolean waits(SnapshotView snapshot) throws TorporException {
        if (snapshot.storeID().equals(Optional.of(node.store().storeID()))) {
            // What is here was judged by its record. A save that has not begun does not hold its VM.
            ImageId image = snapshot.image();
            return snapshot.saved()
                    && !isOver(snapshot.object())
                    && !(snapshot.deleting() && snapshot.discard())
                    && node.store().record(image).isEmpty();
        }
        boolean givenUp = snapshot.object().getMetadata().getDeletionTimestamp() != null && snapshot.discard();
        return !isOver(snapshot.object()) && !givenUp;
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

    private static boolean isFresh(ImageRecord record) {
        return record.state() instanceof ImageState.Complete || record.state() instanceof ImageState.Verified;
    }
}
