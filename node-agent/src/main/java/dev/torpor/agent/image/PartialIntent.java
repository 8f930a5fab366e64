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
 */
public record PartialIntent(
        ImageMode mode, long runNumber, boolean wasRunning, Optional<ProcessIdentity> source, Instant startedAt) {}
