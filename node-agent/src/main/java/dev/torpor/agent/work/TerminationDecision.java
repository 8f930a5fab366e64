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
    /**
     * How long a pod of which nothing says that it ends is waited for. A kubelet that ends pods itself says
     * {@code DisruptionTarget} only once they have ended (mergePodStatus of pkg/kubelet/status, Kubernetes 1.32 to 1.37). At
     * a shutdown its Node says so, a moment after the first hooks; at an eviction for want of memory or disk nothing does, and
     * that is not told from the restart of a single container.
     */
    Duration UNKNOWN_PATIENCE = Duration.ofSeconds(4);

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
     * @param graceSeconds what its containers have from the hook's begin to that at most, if it is ended without being
     *     deleted: at a shutdown the kubelet gives them what its settings say for pods of this priority, if that is less
     * @param disrupted whether its condition DisruptionTarget says that Kubernetes ends it for its own reasons
     * @param policy when its VM is to be saved
     */
    record PodEnd(String name, Optional<Instant> killAt, long graceSeconds, boolean disrupted, OnTermination policy) {
        /** Tells whether the API server says nothing of its end. */
        boolean isUnexplained() {
            return killAt.isEmpty() && !disrupted;
        }
    }

    /**
     * A pod's node is being shut down.
     *
     * @param until when that is waited for no longer; empty if not known
     */
    record NodeDown(Optional<Instant> until) {
        private Instant sooner(Instant other) {
            return until.filter(its -> its.isBefore(other)).orElse(other);
        }
    }

    /**
     * Decides.
     *
     * @param retired the VM was saved from this pod
     * @param pod empty if it is gone
     * @param down why a pod ends that nothing else ends: counts only if it {@link PodEnd#isUnexplained}
     * @param askedAt when the hook was first seen
     */
    static TerminationDecision of(
            boolean retired, Optional<PodEnd> pod, Optional<NodeDown> down, Instant askedAt, Instant now) {
        if (retired) {
            return new Go("its VM is saved");
        }
        if (pod.isEmpty()) {
            return new Go("it is gone from the API");
        }
        boolean unexplained = pod.get().isUnexplained();
        if (unexplained && down.isEmpty()) {
            return now.isBefore(askedAt.plus(UNKNOWN_PATIENCE))
                    ? new LookAgain()
                    : new Go("only its container is ended, not the pod");
        }
        boolean wanted =
                switch (pod.get().policy()) {
                    case ManagedSave -> true;
                    case OnDisruption -> pod.get().disrupted() || unexplained;
                    case Never -> false;
                };
        if (!wanted) {
            return new Go("its VM is not to be saved at such an end (policy "
                    + pod.get().policy() + ")");
        }
        Instant graceEnds = askedAt.plusSeconds(pod.get().graceSeconds());
        Instant until = pod.get().killAt().orElseGet(() -> down.filter(_ -> unexplained)
                .map(its -> its.sooner(graceEnds))
                .orElse(graceEnds));
        return now.plus(LEAST).isBefore(until)
                ? new Save(pod.get(), until.minus(LEAST.dividedBy(2)))
                : new Go("too little is left of its grace period");
    }
}
