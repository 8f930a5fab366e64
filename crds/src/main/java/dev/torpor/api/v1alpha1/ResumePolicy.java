package dev.torpor.api.v1alpha1;

/** What starts a VM again whose memory a managed save keeps. */
public enum ResumePolicy {
    /** The operator, as soon as the image's node takes pods and its store answers. */
    WhenReady,

    /** A VMRestore that somebody makes. */
    Manual
}
