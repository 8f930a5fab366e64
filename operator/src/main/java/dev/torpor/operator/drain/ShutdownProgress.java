package dev.torpor.operator.drain;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.Pod;
import java.util.Optional;

/** Tells where the shutdown of a VM stands that could not be saved. Pure. */
final class ShutdownProgress {
    /** What Kubernetes gives a pod that does not say. */
    private static final long GRACE_SECONDS_DEFAULT = 30;
    /** Reason of the agent's condition: it can be asked for again. */
    private static final String RECALLED = "Recalled";

    private ShutdownProgress() {}

    /** Returns what comes next for a failed save whose class says Shutdown. */
    static SaveStep of(VMSnapshot failed, String why) {
        if (failed.getStatus() == null || failed.getStatus().getNodeName() == null) {
            return new SaveStep.Blocked(failed, why + " It cannot be shut down either, as no agent has to do with it.");
        }
        boolean asked = isAsked(failed);
        Optional<Condition> said = said(failed);
        if (!asked || said.isEmpty() || RECALLED.equals(said.get().getReason())) {
            return new SaveStep.ShutDown(failed, why, asked);
        }
        if (isDone(failed)) {
            return new SaveStep.LetGo(failed, why);
        }
        return "Asked".equals(said.get().getReason())
                ? new SaveStep.ShutDown(failed, why, true)
                : new SaveStep.Blocked(
                        failed,
                        "%s It was to be shut down: %s."
                                .formatted(why, said.get().getMessage()));
    }

    /** Returns whether the agent was asked, and not called back. */
    static boolean isAsked(VMSnapshot failed) {
        return SaveProgress.annotations(failed).containsKey(Torpor.SHUT_DOWN_ANNOTATION);
    }

    /** Returns whether the VM has shut down, and its pod does not start it again. */
    static boolean isDone(VMSnapshot failed) {
        return isAsked(failed)
                && failed.getStatus() != null
                && Conditions.isTrue(failed.getStatus().getConditions(), ConditionType.SHUT_DOWN);
    }

    /** Returns what the agent is asked for, as the annotation's value: which pod is meant, and how long its guest has. */
    static String wish(Pod pod) {
        Long grace = pod.getSpec().getTerminationGracePeriodSeconds();
        return pod.getMetadata().getUid() + "/" + (grace == null ? GRACE_SECONDS_DEFAULT : grace);
    }

    private static Optional<Condition> said(VMSnapshot failed) {
        return Conditions.find(failed.getStatus().getConditions(), ConditionType.SHUT_DOWN);
    }
}
