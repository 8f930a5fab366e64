package dev.torpor.agent.work;

import dev.torpor.api.v1alpha1.OnTermination;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;

/**
 * What is answered to a pod's {@code preStop} hook; a pure function. The kubelet runs that hook before it ends a container,
 * for whatever reason, and the VM may pretend that it does: only what the API server says of the pod counts.
 */
sealed interface TerminationDecision {
    /** How long a pod that nobody is known to terminate is waited for: a node's shutdown reaches the API after the hook. */
    Duration UNKNOWN_PATIENCE = Duration.ofSeconds(2);

    /** What a save and its end take at the least; less is left to the guest. */
    Duration LEAST = Duration.ofSeconds(3);

    /**
     * Let the kubelet end the VM.
     *
     * @param why in words
     */
    record Go(String why) implements TerminationDecision {}

    /** Look again soon. */
    record LookAgain() implements TerminationDecision {}

    /** Save the VM. */
    record Save(PodEnd pod, Instant until) implements TerminationDecision {}

    /**
     * How a pod ends, as the API server says.
     *
     * @param name of the pod
     * @param killAt when its containers are killed, if it is being deleted
     * @param graceSeconds what its containers have from the hook's begin to that, if it is ended without being deleted
     * @param disrupted whether its condition DisruptionTarget says that Kubernetes ends it for its own reasons
     * @param policy when its VM is to be saved
     */
    record PodEnd(String name, Optional<Instant> killAt, long graceSeconds, boolean disrupted, OnTermination policy) {}

    /**
     * Decides.
     *
     * @param retired the VM was saved from this pod
     * @param pod empty if it is gone
     * @param askedAt when the hook was first seen
     */
    static TerminationDecision of(boolean retired, Optional<PodEnd> pod, Instant askedAt, Instant now) {
        if (retired) {
            return new Go("its VM is saved");
        }
        if (pod.isEmpty()) {
            return new Go("it is gone from the API");
        }
        boolean ends = pod.get().killAt().isPresent() || pod.get().disrupted();
        if (!ends) {
            return now.isBefore(askedAt.plus(UNKNOWN_PATIENCE))
                    ? new LookAgain()
                    : new Go("only its container is ended, not the pod");
        }
        boolean wanted =
                switch (pod.get().policy()) {
                    case ManagedSave -> true;
                    case OnDisruption -> pod.get().disrupted();
                    case Never -> false;
                };
        if (!wanted) {
            return new Go("its VM is not to be saved at such an end (policy "
                    + pod.get().policy() + ")");
        }
        Instant until = pod.get().killAt().orElse(askedAt.plusSeconds(pod.get().graceSeconds()));
        return now.plus(LEAST).isBefore(until)
                ? new Save(pod.get(), until.minus(LEAST.dividedBy(2)))
                : new Go("too little is left of its grace period");
    }
}
