package dev.torpor.api.v1alpha1;

/** What an eviction does with a VM whose node is about to be deleted for good. */
public enum OnNodeRemoval {
    /** It runs on, and the drain waits until somebody helps: its image would go with the node's disk. */
    Block,

    /**
     * It is not saved: its guest is asked to shut down (ACPI), and its pod is deleted once QEMU has ended, so that the VM boots
     * elsewhere. A guest that does not within the pod's terminationGracePeriodSeconds runs on, and the drain waits.
     */
    Shutdown,

    /** It is saved as on any other node: the disk of the store outlives the node object. */
    Save
}
