package dev.torpor.api.v1alpha1;

/** What the user says of the VM's disks at a restore. */
public enum DisksPolicy {
    /** The disks are as they were when the image was made: refused if the VM has run since. */
    Unchanged,

    /** The disks were put back to the moment of the image by other means. */
    Restored,

    /** The disks do not matter. */
    Ephemeral
}
