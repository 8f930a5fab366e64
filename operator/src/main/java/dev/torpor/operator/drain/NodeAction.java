package dev.torpor.operator.drain;

import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.operator.event.EventReason;
import io.fabric8.kubernetes.api.model.Pod;

/** What is to be done about a VM of a node. Each can be repeated. */
sealed interface NodeAction {
    /** Makes a save. */
    record Begin(Pod pod, int attempt, String message) implements NodeAction {}

    /** Has the node's agent shut a VM down, unsaved, as its node is deleted next. */
    record OrderShutdown(Pod pod, int attempt, String message) implements NodeAction {}

    /** Has a save end that has lost its cause. */
    record Cancel(VMSnapshot save, String message) implements NodeAction {}

    /** Tells people that a VM holds up its node. */
    record Report(Pod pod, String message) implements NodeAction {}

    /** Deletes the pod of a VM that cannot be saved, as its class says, or was shut down. */
    record Delete(Pod pod, EventReason reason, String message) implements NodeAction {}

    /** Has the node's agent shut a VM down that cannot be saved, as its class says. */
    record ShutDown(Pod pod, VMSnapshot failed, String message) implements NodeAction {}

    /** Notes at a save that failed that its drain is over. */
    record Close(VMSnapshot failed) implements NodeAction {}

    /** Has the node's agent let a VM start again that is (being) shut down, as its drain is over. */
    record Recall(VMSnapshot failed, String message) implements NodeAction {}
}
