package dev.torpor.api.v1alpha1;

/** What happens to the VM after its memory is saved. */
public enum SaveMode {
    /** The VM is stopped: its bare pod is deleted. The image is kept until restored in place, which consumes it, or deleted. */
    Save,

    /** The VM is stopped, and its next start resumes it. */
    ManagedSave,

    /** The VM is paused while its memory is saved, and carries on. The image is never consumed. */
    Checkpoint
}
