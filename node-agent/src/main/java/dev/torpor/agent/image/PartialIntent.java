package dev.torpor.agent.image;

import java.time.Instant;
import java.util.Optional;

/**
 * What is about to be saved, recorded before anything is done to the VM: an agent that finds it after a crash knows what
 * to undo.
 *
 * @param mode what the image is for
 * @param runNumber which run of the VM, as counted by the node's journal; 0 where nobody counts
 * @param wasRunning whether the guest ran before it was paused for the save, and is to run again if the save fails
 * @param source the QEMU that is saved, where known
 * @param startedAt when the save was begun
 * @param frozen whether the guest's file systems may have been frozen for the save: then they are thawed when the guest goes
 *     on, and in each guest that comes from the image
 * @param imported whether no VM of ours is saved, but somebody else's file taken over
 */
public record PartialIntent(
        ImageMode mode,
        long runNumber,
        boolean wasRunning,
        Optional<ProcessIdentity> source,
        Instant startedAt,
        boolean frozen,
        boolean imported) {
    /** Of a save for which nothing is frozen. */
    public PartialIntent(
            ImageMode mode, long runNumber, boolean wasRunning, Optional<ProcessIdentity> source, Instant startedAt) {
        this(mode, runNumber, wasRunning, source, startedAt, false);
    }

    /** Of a save. */
    public PartialIntent(
            ImageMode mode,
            long runNumber,
            boolean wasRunning,
            Optional<ProcessIdentity> source,
            Instant startedAt,
            boolean frozen) {
        this(mode, runNumber, wasRunning, source, startedAt, frozen, false);
    }
}
