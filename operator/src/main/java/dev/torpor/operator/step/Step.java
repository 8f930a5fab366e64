package dev.torpor.operator.step;

/**
 * Steps between which an operator may die: each is one write, and leaves the API's objects such that the next operator, which
 * knows nothing else, goes on. Events are news and no steps.
 */
public enum Step {
    /** The VMSnapshot has the finalizer that keeps it until its image is gone. */
    SNAPSHOT_ADD_FINALIZER,
    /** The VMSnapshot has no such finalizer any more. */
    SNAPSHOT_REMOVE_FINALIZER,
    /** The manifest of the pod to be saved is recorded. */
    SNAPSHOT_RECORD_MANIFEST,
    /** The VMSnapshot's status says what was decided. */
    SNAPSHOT_PUBLISH,
    /** The pod whose memory is committed is told to end: its VM is retired. */
    SNAPSHOT_DELETE_POD,
    /** A bare pod is there again, held. */
    SNAPSHOT_CREATE_POD,
    /** The VMRestore that starts the VM is there. */
    SNAPSHOT_START,
    /** A VMRestore that failed before is deleted. */
    SNAPSHOT_FORGET_START,
    /** The image of a VMSnapshot that is being deleted may go. */
    SNAPSHOT_DISCARD,
    /** A VolumeSnapshot is there. */
    SNAPSHOT_CUT_DISK,
    /** A VolumeSnapshot of a pause that came to nothing is deleted. */
    SNAPSHOT_DROP_CUT,
    /** The VMRestore's status says what was decided. */
    RESTORE_PUBLISH,
    /** The pod that is to have the memory is there. */
    RESTORE_CREATE_POD,
    /** A held pod is marked for the VMRestore and let go, in one. */
    RESTORE_GIVE_POD,
    /** The pod of a VMRestore that failed is deleted. */
    RESTORE_DELETE_POD,
    /** A VMSnapshot is there for what an agent saved by itself. */
    TERMINATION_MIRROR,
    /** A VMSnapshot is there for a VM that has to leave its node. */
    DRAIN_BEGIN,
    /** The save of a drain that is over is told to end. */
    DRAIN_CANCEL,
    /** The agent is asked to shut down a VM that could not be saved. */
    DRAIN_ASK_SHUTDOWN,
    /** That is taken back. */
    DRAIN_RECALL_SHUTDOWN,
    /** The failed save is marked as of a drain that is over. */
    DRAIN_CLOSE,
    /** The pod of a VM that need not be saved is deleted. */
    DRAIN_DELETE_POD,
    /** A controller's pod that nothing holds any more is deleted. */
    GATE_DELETE_POD,
    /** A bare pod that nothing holds any more is let go. */
    GATE_OPEN,
    /** The PodDisruptionBudget of a namespace with VMs is there. */
    BUDGET_CREATE,
    /** It is as it should be again. */
    BUDGET_REPAIR,
    /** It is gone with the last VM. */
    BUDGET_REMOVE,
    /** The annotations of a node that keep autoscalers off say what is on it. */
    NODE_MARK
}
