package dev.torpor.operator.event;

/** Reasons of the operator's Events. The names are API: never renamed. */
public enum EventReason {
    /** The request cannot be served yet; it is tried again until its deadline. */
    Waiting(Type.Warning),
    /** A node's agent was told to save the VM. */
    Bound(Type.Normal),
    /** The image is committed and the VM's pod is being deleted. */
    StoppingVM(Type.Normal),
    /** The image can be restored. */
    Restorable(Type.Normal),
    /** Of a pod: its VM's memory is saved, and it waits to be resumed. */
    Saved(Type.Normal),

    /** The VM whose memory waits cannot be started yet. */
    StartHeld(Type.Normal),

    /** A VM is started again from its managed image. */
    Starting(Type.Normal),

    /** Of a pod: no image waits for it any more. */
    Released(Type.Normal),

    /** The save was cancelled. */
    Cancelled(Type.Normal),
    /** The save failed for good. */
    SaveFailed(Type.Warning),
    /** A restore of the image is in progress. */
    Resuming(Type.Normal),
    /** The image was restored in place and is gone. */
    Consumed(Type.Normal),
    /** The image can no longer be restored. */
    ImageUnusable(Type.Warning),
    /** The object went away with its node; the file may still lie in that node's store. */
    ImageOrphaned(Type.Warning),
    /** A node's agent was told to bring the VM back. */
    Restoring(Type.Normal),
    /** The VM's pod was created from its recorded manifest. */
    PodCreated(Type.Normal),
    /** The VM's pod, which was held for its memory, was let go. */
    PodReleased(Type.Normal),

    /** The VM runs again. */
    Restored(Type.Normal),
    /** The restore failed for good. */
    RestoreFailed(Type.Warning),
    /** The VM is saved because its node is in maintenance. */
    DrainSaving(Type.Normal),
    /** The save was cancelled because the drain of its node is over. */
    DrainEnded(Type.Normal),
    /** The VM cannot be saved, and holds up the drain of its node. */
    DrainBlocked(Type.Warning),
    /** The VM could not be saved and goes all the same, as its class says. */
    MemoryLost(Type.Warning),
    /** The VM could not be saved; its guest is asked to shut down, as its class says. */
    ShuttingDown(Type.Warning),
    /** The VM could not be saved and was shut down; its pod is deleted. */
    ShutDown(Type.Normal),
    /** A PodDisruptionBudget gets in the way of the one that holds VMs. */
    SecondBudget(Type.Warning);

    /** Type of an Event, as Kubernetes spells it. */
    public enum Type {
        Normal,
        Warning
    }

    private final Type type;

    EventReason(Type type) {
        this.type = type;
    }

    /** Returns whether a person should look. */
    public Type type() {
        return type;
    }
}
