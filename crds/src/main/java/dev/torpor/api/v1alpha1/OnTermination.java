package dev.torpor.api.v1alpha1;

/** When a VM is saved as its pod is terminated past the eviction API: values of {@link Torpor#ON_TERMINATION_ANNOTATION}. */
public enum OnTermination {
    /** Whenever its pod is deleted, by whomever. */
    ManagedSave,
    /** When Kubernetes ends the pod for its own reasons, as the pod's condition DisruptionTarget tells. The default. */
    OnDisruption,
    /** Never: the guest is ended with its pod. */
    Never;

    /** Returns what an annotation says; the default if it is absent or not one of the values. */
    public static OnTermination of(@org.jspecify.annotations.Nullable String value) {
        for (OnTermination known : values()) {
            if (known.name().equals(value)) {
                return known;
            }
        }
        return OnDisruption;
    }
}
