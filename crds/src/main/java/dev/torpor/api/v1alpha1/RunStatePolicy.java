package dev.torpor.api.v1alpha1;

/** Whether the guest runs after a restore. */
public enum RunStatePolicy {
    /** As it was before the save: a guest that its owner had paused comes back paused. */
    AsSaved,

    /** It runs. */
    Running,

    /** It stays paused. */
    Paused
}
