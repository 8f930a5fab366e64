package dev.torpor.api.v1alpha1;

/** Types of conditions, each with one writer. */
public final class ConditionType {
    /** Operator. The image can be restored; of a VMRestore: the VM is back. */
    public static final String READY = "Ready";
    /** Operator. Work is under way (kstatus). */
    public static final String RECONCILING = "Reconciling";
    /** Operator. It failed for good (kstatus). */
    public static final String STALLED = "Stalled";
    /** Operator, of a managed VMSnapshot whose image waits. The VM is being started from it; else the reason why not yet. */
    public static final String RESUMABLE = "Resumable";

    /** Agent, of a VMSnapshot. The image is committed on the node's disk. */
    public static final String SAVED = "Saved";
    /** Agent. The image's file is there and its recorded lengths and checksums hold. */
    public static final String IMAGE_AVAILABLE = "ImageAvailable";
    /** Agent, of a VMSnapshot that failed. The VM was shut down, as the operator asked; else why not (yet). */
    public static final String SHUT_DOWN = "ShutDown";
    /**
     * Agent. Of a VMSnapshot: every page of the image was read back since the commit, and has a checksum beside it. Of a
     * VMRestore: all memory of the guest was compared with those.
     */
    public static final String VERIFIED = "Verified";
    /** Agent, of a VMRestore. The guest was handed over and is in the run state that was asked for. */
    public static final String RESUMED = "Resumed";

    private ConditionType() {}
}
