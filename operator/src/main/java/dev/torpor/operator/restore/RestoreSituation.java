package dev.torpor.operator.restore;

import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import dev.torpor.operator.vm.StoreState;
import io.fabric8.kubernetes.api.model.Pod;
import java.util.Objects;
import java.util.Optional;

/** Where a VMRestore stands, as read from the API server: one record for each situation that is treated in its own way. */
sealed interface RestoreSituation {
    /** Its end is written down, and nothing is left to do. */
    record Ended() implements RestoreSituation {}

    /** It cannot be admitted, now or ever. */
    record Refused(FailureReason reason, String message) implements RestoreSituation {}

    /** It can be bound. */
    record Admissible(Binding binding) implements RestoreSituation {}

    /** Bound, and the agent has not said that the image is good; {@code store} says whether there is an agent. */
    record CheckingImage(StoreState store) implements RestoreSituation {}

    /** The image is good and the pod is to be created. */
    record PodMissing(Pod manifest) implements RestoreSituation {}

    /** The image is good, and the pod that waits for it is to be let go. */
    record PodHeld(Pod pod) implements RestoreSituation {}

    /** The image is good, and the VM's controller is to make its pod first. */
    record AwaitingPod(StoreState store) implements RestoreSituation {}

    /** The image is good, and what keeps its pod from being made or let go may pass before the deadline. */
    record PodHindered(FailureReason reason, String message) implements RestoreSituation {}

    /** The pod was created, and QEMU does not load yet. */
    record PodStarting(ObjectName pod, StoreState store) implements RestoreSituation {}

    /** QEMU loads the image. */
    record Loading(ObjectName pod, StoreState store) implements RestoreSituation {}

    /** The agent proved that the VM is back: running, paused or ended since; its pod's address, while it is known. */
    record Resumed(RestoreReason how, Optional<String> podIP) implements RestoreSituation {}

    /** The VM was back, and stopped as its memory turned out to be damaged. Its pod is left for a person to decide on. */
    record Damaged(String message) implements RestoreSituation {}

    /** It failed for good after it was bound, by the agent's word or by ours; the pod that was created may be left. */
    record Failed(String reason, String message, Optional<ObjectName> pod) implements RestoreSituation {}

    /** Where a bound restore stands whose pod could not be made or let go. */
    static RestoreSituation of(TorporException trouble) {
        String message = Objects.requireNonNullElse(trouble.getMessage(), "The image is safe.");
        return trouble.reason().kind() == FailureReason.Kind.RETRYABLE
                ? new PodHindered(trouble.reason(), message)
                : new Failed(trouble.reason().name(), message, Optional.empty());
    }

    /** What binding a restore to a node rests on; with the address that the VM's pod had when it was saved. */
    record Binding(String nodeName, String snapshotUid, String imageUid, String vmName, Optional<String> savedPodIP) {}
}
