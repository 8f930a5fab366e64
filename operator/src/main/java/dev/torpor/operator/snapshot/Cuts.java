package dev.torpor.operator.snapshot;

import dev.torpor.api.v1alpha1.VolumeSnapshotStatus;
import java.util.List;

/**
 * The VolumeSnapshots of a checkpoint as they are, and what is to be done about them.
 *
 * @param now what status is to say; empty if the checkpoint is without them
 * @param create those of the present pause that are not there yet
 * @param delete names of those whose pause came to nothing
 * @param awaited whether something of them is to change without an event
 */
record Cuts(List<VolumeSnapshotStatus> now, List<VolumeSnapshotStatus> create, List<String> delete, boolean awaited) {
    static final Cuts NONE = new Cuts(List.of(), List.of(), List.of(), false);

    Cuts {
        now = List.copyOf(now);
        create = List.copyOf(create);
        delete = List.copyOf(delete);
    }

    /** Returns the same after the API server refused those that were to be created. */
    Cuts refused(String error) {
        return new Cuts(
                now.stream()
                        .map(cut -> create.contains(cut)
                                ? new VolumeSnapshotStatus(cut.claimName(), cut.name(), null, null, error)
                                : cut)
                        .toList(),
                List.of(),
                List.of(),
                awaited);
    }
}
