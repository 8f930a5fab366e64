package dev.torpor.api.v1alpha1;

/** Names of the API that are not types: group, labels, annotations, finalizers, field managers. */
public final class Torpor {
    public static final String GROUP = "torpor.dev";
    public static final String VERSION = "v1alpha1";

    /** Label of a VM's pod; its value is the VM's name. */
    public static final String VM_LABEL = "torpor.dev/vm";
    /** Annotation of a VM's pod: the name of the container that runs QEMU, if the pod has several. */
    public static final String CONTAINER_ANNOTATION = "torpor.dev/container";
    /** Annotation of a VM's pod: value {@code "false"} keeps the webhook from wiring the launcher into it. */
    public static final String INJECT_ANNOTATION = "torpor.dev/inject";
    /** Annotation of the VMSnapshotClass that is used when a snapshot names none; value {@code "true"}. */
    public static final String DEFAULT_CLASS_ANNOTATION = "torpor.dev/is-default-class";
    /** Annotation of a pod that the operator recreated: UID of the VMRestore that it was created for. */
    public static final String RESTORE_ANNOTATION = "torpor.dev/restore-uid";
    /** Scheduling gate of a VM's pod while a managed image of the VM waits. */
    public static final String SAVED_GATE = "torpor.dev/saved";

    /**
     * Readiness gate of a VM's pod, and type of the condition that answers it, which the node's agent writes: True while
     * the guest's vCPUs run.
     */
    public static final String GUEST_RUNNING = "torpor.dev/guest-running";

    /**
     * Annotation of a managed VMSnapshot whose image waits: it may be deleted, and the VM's memory with it. Any value but
     * {@code "false"}.
     */
    public static final String DISCARD_ANNOTATION = "torpor.dev/discard";

    /**
     * Annotation of a VMSnapshot: its image's pages are to be read and compared. Any value, by convention the time; another
     * value asks again. What was carried out is in {@code status.handledVerifyRequest}.
     */
    public static final String VERIFY_ANNOTATION = "torpor.dev/verify-requested-at";

    /** Annotation of an object that Torpor made for itself: for what; one of the following. */
    public static final String CREATED_BY_ANNOTATION = "torpor.dev/created-by";
    /** Value of {@link #CREATED_BY_ANNOTATION}: to save a VM whose node is drained. */
    public static final String CREATED_BY_DRAIN = "drain";
    /** Value of {@link #CREATED_BY_ANNOTATION}: for a VM that its node's agent saved as its pod was terminated. */
    public static final String CREATED_BY_TERMINATION = "termination";
    /** Value of {@link #CREATED_BY_ANNOTATION}: for a file of libvirt's that was imported on a node. */
    public static final String CREATED_BY_IMPORT = "import";
    /** Annotation of a VMSnapshot that a drain made: name of the node. */
    public static final String DRAIN_NODE_ANNOTATION = "torpor.dev/drain-node";
    /** Annotation of a VMSnapshot that a drain made: Cordon, Maintenance, Eviction or {@link #CAUSE_REMOVAL}; when the cause ends, so does the save. */
    public static final String DRAIN_CAUSE_ANNOTATION = "torpor.dev/drain-cause";
    /**
     * Value of {@link #DRAIN_CAUSE_ANNOTATION}: the node is about to be deleted, and the VM is to be shut down, not saved. Such an
     * object is cancelled from the first, and carries {@link #SHUT_DOWN_ANNOTATION} from the first.
     */
    public static final String CAUSE_REMOVAL = "Removal";
    /** Annotation of a VMSnapshot that a drain made and that failed, once that drain is over: the next one begins anew. */
    public static final String DRAIN_OVER_ANNOTATION = "torpor.dev/drain-over";
    /** Annotation of a VMSnapshot that was cancelled because its drain ended; value {@link #CREATED_BY_DRAIN}. */
    public static final String CANCELLED_BY_ANNOTATION = "torpor.dev/cancelled-by";
    /** Annotation of a VMSnapshot: memory of the VM in bytes, as its pod tells. Of saves that wait, the shortest goes first. */
    public static final String MEMORY_ANNOTATION = "torpor.dev/memory-bytes";
    /**
     * Annotation of a VM's pod: when the VM is saved by its node's agent as the pod is terminated without an eviction; one of
     * {@link OnTermination}.
     */
    public static final String ON_TERMINATION_ANNOTATION = "torpor.dev/on-termination";
    /** Annotation of a Node: its VMs are to be saved. Any value but {@code "false"}. */
    public static final String MAINTENANCE_ANNOTATION = "torpor.dev/maintenance";
    /**
     * Annotation of a drain's VMSnapshot that failed, or was made for just this: the node's agent is to shut the VM down; value {@code <pod UID>/<seconds>},
     * the pod that is meant and how long its guest has. As long as it is there, a VM that was shut down does not start in that pod.
     */
    public static final String SHUT_DOWN_ANNOTATION = "torpor.dev/shut-down";
    /** Annotation of a Node whose images are the only memory of VMs: which annotations against its removal Torpor set. */
    public static final String HELD_BY_ANNOTATION = "torpor.dev/scale-down-held-by";
    /** Finalizer of a VMSnapshot whose image file may exist; the node's agent removes it after the file. */
    public static final String IMAGE_FINALIZER = "torpor.dev/image";
    /** Name of the volume, and of the directory below {@code /run}, that launcher and agent share. */
    public static final String VOLUME = "torpor";

    /** Field manager of the operator's writes. */
    public static final String OPERATOR_MANAGER = "torpor-operator";
    /** Field manager of the agents' writes. */
    public static final String AGENT_MANAGER = "torpor-agent";

    /** Annotation of an agent's Lease: identity of its image store. */
    public static final String STORE_ID_ANNOTATION = "torpor.dev/store-id";
    /** Annotation of an agent's Lease: UID of its Node object. */
    public static final String NODE_UID_ANNOTATION = "torpor.dev/node-uid";
    /** Prefix of the name of an agent's Lease; the node's name follows. */
    public static final String LEASE_PREFIX = "torpor-";
    /** Prefix of the name of the ControllerRevision with a saved pod's manifest; the VMSnapshot's UID follows, then the pod's. */
    public static final String MANIFEST_PREFIX = "torpor-";
    /** Namespace of the operator and of the agents' leases. */
    public static final String SYSTEM_NAMESPACE = "torpor-system";

    private Torpor() {}
}
