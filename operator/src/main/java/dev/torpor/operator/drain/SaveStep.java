package dev.torpor.operator.drain;

import dev.torpor.api.v1alpha1.VMSnapshot;
import java.time.Duration;
import java.util.Optional;

/** Where the save of one instance of a VM stands, and with that what is to be done next. */
sealed interface SaveStep {
    /**
     * A save is to be made.
     *
     * @param attempt number of the new one, from 1
     * @param after why the one before ended without an image; empty if there was none
     */
    record Begin(int attempt, Optional<String> after) implements SaveStep {}

    /** Our save is on its way. */
    record UnderWay(VMSnapshot save) implements SaveStep {}

    /** A save that somebody else made is on its way: ours would only wait for it. */
    record OtherUnderWay(VMSnapshot other) implements SaveStep {}

    /** The memory is safe; the pod is being deleted. */
    record Saved(VMSnapshot save) implements SaveStep {}

    /**
     * The pod is there for a memory that was saved before: its VM has not gone on yet.
     *
     * @param image has that memory
     * @param atWork whether a VMRestore is bringing it back, or has by now
     */
    record Starting(VMSnapshot image, boolean atWork) implements SaveStep {}

    /** The save failed and is tried again. */
    record Retry(VMSnapshot failed, String why, Duration in) implements SaveStep {}

    /** The save failed, and trying again does not help: a person has to act. */
    record Blocked(VMSnapshot failed, String why) implements SaveStep {}

    /**
     * The save failed, and the class says that the VM is shut down.
     *
     * @param asked whether the node's agent was asked to
     */
    record ShutDown(VMSnapshot failed, String why, boolean asked) implements SaveStep {}

    /** The save failed, and the class says that the VM goes all the same; or it was shut down, and its pod goes. */
    record LetGo(VMSnapshot failed, String why) implements SaveStep {}
}
