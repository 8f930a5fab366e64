package dev.torpor.agent.work;

import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.engine.SaveOptions;
import dev.torpor.agent.engine.SavePlan;
import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.VmDisks;
import dev.torpor.api.v1alpha1.Progress;
import dev.torpor.failure.TorporException;
import java.time.Instant;
import java.util.List;
import java.util.Optional;

/** Who wants a save, what is wanted of it, and who hears how it goes. */
interface SaveOrder {
    ImageId image();

    ImageMode mode();

    SaveOptions options();

    /** What is wanted if its QEMU lacks what that needs; empty if such a save is to fail. */
    Optional<SaveOptions> otherwise();

    /** The claims of the VM's pod, where that is known. */
    List<VmDisks.Claim> claims();

    /** Whether the kubelet goes on with the pod's liveness probes meanwhile. */
    boolean probed();

    /** The VM was looked at; nothing is done to it yet. */
    void planned(SavePlan plan, Instant startedAt) throws TorporException;

    /** The intent is recorded durably; the VM is not paused yet. */
    void recorded() throws TorporException;

    /** The guest is paused: what else is to be done in its pause can begin. */
    void paused(Instant at);

    /**
     * Waits until that is done; the guest is still paused.
     *
     * @throws TorporException VolumeSnapshotFailed, or why the end was asked for
     */
    void awaitDisks(Cancellation cancellation) throws TorporException;

    /** So far; called from another thread. */
    void progress(Progress progress);

    /**
     * The save is to end, and does not yet: QEMU, or the disk, is at something that cannot be broken off. Called from that other
     * thread, perhaps more than once.
     *
     * @param why it is to end
     */
    void givingUp(String why);
}
