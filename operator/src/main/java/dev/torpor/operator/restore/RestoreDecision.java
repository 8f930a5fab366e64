package dev.torpor.operator.restore;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.api.v1alpha1.RestorePhase;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMRestoreStatus;
import dev.torpor.failure.FailureReason;
import dev.torpor.operator.event.EventReason;
import dev.torpor.operator.event.Notice;
import dev.torpor.operator.vm.StoreState;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.Pod;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * What is to be done in a situation: a side effect, then the operator's part of status, then when to look again if no
 * event comes before.
 *
 * @param own the operator's part of status, whole; null: leave it as it is
 * @param lookAgain null: only when something changes
 * @param notice Event that tells of the new status; written only if the status is news
 */
record RestoreDecision(
        RestoreAction action,
        @Nullable VMRestoreStatus own,
        @Nullable Duration lookAgain,
        @Nullable Notice notice) {
    /** Leases and nodes are not watched: what waits for them looks again this often. */
    static final Duration STORE_INTERVAL = Duration.ofSeconds(10);

    /** Default of the CRD, for objects that were made without it. */
    private static final int DEADLINE_SECONDS_DEFAULT = 300;

    private static final RestoreAction NOTHING = new RestoreAction.Nothing();

    /** Decides. Pure: reads and writes nothing, and takes the time as an argument. */
    static RestoreDecision decide(VMRestore seen, RestoreSituation situation, Instant now) {
        OwnRestoreStatus own = new OwnRestoreStatus(seen, now);
        return switch (situation) {
            case RestoreSituation.Ended() -> new RestoreDecision(NOTHING, null, null, null);
            case RestoreSituation.Refused(FailureReason reason, String message) ->
                refused(seen, own, reason, message, now);
            case RestoreSituation.Admissible(var binding) -> admissible(seen, own, binding, now);
            case RestoreSituation.CheckingImage(StoreState store) ->
                working(
                        seen,
                        own,
                        store,
                        null,
                        RestorePhase.Starting,
                        RestoreReason.CheckingImage,
                        checking(nodeName(seen)));
            case RestoreSituation.PodMissing(Pod manifest) ->
                new RestoreDecision(
                        new RestoreAction.CreatePod(manifest),
                        null,
                        Duration.ZERO,
                        new Notice(
                                EventReason.PodCreated,
                                "Pod %s of VM %s was created from its recorded manifest, for node %s."
                                        .formatted(manifest.getMetadata().getName(), vmName(seen), nodeName(seen))));
            case RestoreSituation.PodHeld(Pod pod) ->
                new RestoreDecision(
                        new RestoreAction.GivePod(pod),
                        null,
                        Duration.ZERO,
                        new Notice(
                                EventReason.PodReleased,
                                "Pod %s of VM %s, which waited for its memory, was let go to node %s."
                                        .formatted(pod.getMetadata().getName(), vmName(seen), nodeName(seen))));
            case RestoreSituation.AwaitingPod(StoreState store) ->
                working(
                        seen,
                        own,
                        store,
                        null,
                        RestorePhase.Starting,
                        RestoreReason.AwaitingPod,
                        "VM %s has no pod that could be started: see its StatefulSet. The image is safe."
                                .formatted(vmName(seen)));
            case RestoreSituation.PodHindered(FailureReason reason, String message) ->
                new RestoreDecision(
                        NOTHING,
                        own.working(RestorePhase.Starting, reason.name(), message),
                        STORE_INTERVAL,
                        new Notice(EventReason.Waiting, reason + ": " + message));
            case RestoreSituation.PodStarting(ObjectName pod, StoreState store) ->
                working(
                        seen,
                        own,
                        store,
                        pod,
                        RestorePhase.Starting,
                        RestoreReason.StartingPod,
                        "Pod %s is being started on node %s. The image is safe.".formatted(pod.name(), nodeName(seen)));
            case RestoreSituation.Loading(ObjectName pod, StoreState store) ->
                working(
                        seen,
                        own,
                        store,
                        pod,
                        RestorePhase.Loading,
                        RestoreReason.Loading,
                        "QEMU of pod %s loads the image. The image is safe.".formatted(pod.name()));
            case RestoreSituation.Resumed(RestoreReason how, Optional<String> podIP) -> {
                String message = "VM %s is back on node %s. %s".formatted(vmName(seen), nodeName(seen), goesOn(how));
                boolean ready = how != RestoreReason.NotContinued;
                yield new RestoreDecision(
                        NOTHING,
                        own.back(ready, podIP, how.name(), message),
                        null,
                        new Notice(ready ? EventReason.Restored : EventReason.RestoreFailed, message));
            }
            case RestoreSituation.Damaged(String message) -> failed(own, FailureReason.ImageDamaged.name(), message);
            case RestoreSituation.Failed(String reason, String message, Optional<ObjectName> pod) ->
                new RestoreDecision(
                        pod.<RestoreAction>map(RestoreAction.DeletePod::new).orElse(NOTHING),
                        own.stalled(reason, message),
                        null,
                        new Notice(EventReason.RestoreFailed, reason + ": " + message));
        };
    }

    private static String goesOn(RestoreReason how) {
        return switch (how) {
            case Paused -> "The VM is paused, as it was asked for or as its owner had it.";
            case Ended -> "Its QEMU has ended since: see its pod.";
            case NotContinued -> "It does not run: see condition Resumed.";
            case Running, CheckingImage, AwaitingPod, StartingPod, Loading, NodeGone -> "The VM runs.";
        };
    }

    /** Returns when a restore is given up. */
    static Instant deadline(VMRestore seen) {
        Integer seconds = seen.getSpec().deadlineSeconds();
        return Instant.parse(seen.getMetadata().getCreationTimestamp())
                .plusSeconds(seconds == null ? DEADLINE_SECONDS_DEFAULT : seconds);
    }

    private static RestoreDecision refused(
            VMRestore seen, OwnRestoreStatus own, FailureReason reason, String message, Instant now) {
        if (reason.kind() != FailureReason.Kind.RETRYABLE) {
            return failed(own, reason.name(), message);
        }
        if (!now.isBefore(deadline(seen))) {
            return overdue(seen, own, reason + ": " + message);
        }
        Duration left = Duration.between(now, deadline(seen));
        return new RestoreDecision(
                NOTHING,
                own.working(RestorePhase.Pending, reason.name(), message),
                left.compareTo(STORE_INTERVAL) < 0 ? left : STORE_INTERVAL,
                new Notice(EventReason.Waiting, reason + ": " + message));
    }

    private static RestoreDecision admissible(
            VMRestore seen, OwnRestoreStatus own, RestoreSituation.Binding binding, Instant now) {
        if (!now.isBefore(deadline(seen))) {
            String trouble = Optional.ofNullable(seen.getStatus())
                    .flatMap(status -> Conditions.find(status.getConditions(), ConditionType.READY))
                    .map(ready -> ready.getReason() + ": " + ready.getMessage())
                    .orElse("the operator did not come to it in time. The image is safe.");
            return overdue(seen, own, trouble);
        }
        String message = checking(binding.nodeName());
        return new RestoreDecision(
                NOTHING,
                own.bound(binding, RestoreReason.CheckingImage.name(), message),
                STORE_INTERVAL,
                new Notice(EventReason.Restoring, message));
    }

    private static RestoreDecision working(
            VMRestore seen,
            OwnRestoreStatus own,
            StoreState store,
            @Nullable ObjectName pod,
            RestorePhase phase,
            RestoreReason reason,
            String message) {
        return switch (store) {
            case StoreState.Alive _ -> {
                Optional<Condition> trouble = trouble(seen);
                yield new RestoreDecision(
                        NOTHING,
                        status(
                                own,
                                pod,
                                phase,
                                trouble.map(Condition::getReason).orElse(reason.name()),
                                trouble.map(Condition::getMessage).orElse(message)),
                        STORE_INTERVAL,
                        null);
            }
            case StoreState.Away(String trouble) -> away(own, pod, phase, trouble);
            case StoreState.NodeGone(String trouble) ->
                failed(own, RestoreReason.NodeGone.name(), trouble + " The image was in its store.");
        };
    }

    /** Returns what keeps the agent from going on, as long as it tries again. */
    private static Optional<Condition> trouble(VMRestore seen) {
        return Optional.ofNullable(seen.getStatus())
                .flatMap(status -> Conditions.find(status.getConditions(), ConditionType.RESUMED))
                .filter(resumed -> !RestoreReason.Loading.name().equals(resumed.getReason()));
    }

    private static RestoreDecision away(
            OwnRestoreStatus own, @Nullable ObjectName pod, RestorePhase phase, String trouble) {
        return new RestoreDecision(
                NOTHING,
                status(own, pod, phase, FailureReason.StoreUnavailable.name(), trouble),
                STORE_INTERVAL,
                new Notice(EventReason.Waiting, trouble));
    }

    private static VMRestoreStatus status(
            OwnRestoreStatus own, @Nullable ObjectName pod, RestorePhase phase, String reason, String message) {
        return pod == null ? own.working(phase, reason, message) : own.withPod(pod, phase, reason, message);
    }

    private static RestoreDecision overdue(VMRestore seen, OwnRestoreStatus own, String trouble) {
        Duration given = Duration.between(Instant.parse(seen.getMetadata().getCreationTimestamp()), deadline(seen));
        return failed(
                own,
                FailureReason.DeadlineExceeded.name(),
                "Not admitted within %d s. The last trouble was %s".formatted(given.toSeconds(), trouble));
    }

    private static RestoreDecision failed(OwnRestoreStatus own, String reason, String message) {
        return new RestoreDecision(
                NOTHING,
                own.stalled(reason, message),
                null,
                new Notice(EventReason.RestoreFailed, reason + ": " + message));
    }

    private static String checking(@Nullable String nodeName) {
        return "The agent of node %s checks the image. The image is safe.".formatted(nodeName);
    }

    private static @Nullable String nodeName(VMRestore seen) {
        return seen.getStatus() == null ? null : seen.getStatus().getNodeName();
    }

    private static @Nullable String vmName(VMRestore seen) {
        return seen.getStatus() == null ? null : seen.getStatus().getVmName();
    }
}
