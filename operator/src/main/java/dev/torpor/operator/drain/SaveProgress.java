package dev.torpor.operator.drain;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.OnSaveFailure;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.failure.FailureReason;
import dev.torpor.operator.vm.ShutdownOrder;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.ObjectMeta;
import io.fabric8.kubernetes.api.model.Pod;
import java.time.Duration;
import java.time.Instant;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;

/** Tells from a VM's snapshots where the save of one of its pods stands. Pure. */
final class SaveProgress {
    /** Saves that fail for a passing reason are repeated after this, then after twice as long each. */
    static final Duration BACK_OFF_FIRST = Duration.ofSeconds(30);

    static final Duration BACK_OFF_LAST = Duration.ofMinutes(10);
    /** So many tries fail for passing reasons before a class that says Delete or Shutdown is heeded. */
    static final int TRIES_BEFORE_DELETE = 3;

    private static final Set<SnapshotPhase> ENDED = Set.of(SnapshotPhase.Failed, SnapshotPhase.Cancelled);
    private static final Set<SnapshotPhase> BEFORE_SAVED =
            Set.of(SnapshotPhase.Pending, SnapshotPhase.Bound, SnapshotPhase.Saving);

    private SaveProgress() {}

    /**
     * Decides.
     *
     * @param pod a live pod of the VM
     * @param ofVm all snapshots of the VM
     * @param policy says what a class wants done about a save that failed; asked only then
     */
    static SaveStep of(Pod pod, List<VMSnapshot> ofVm, Function<VMSnapshot, OnSaveFailure> policy, Instant now) {
        String podUid = pod.getMetadata().getUid();
        List<VMSnapshot> ours = ofVm.stream()
                .filter(snapshot -> isOurs(snapshot, podUid))
                .sorted(Comparator.comparingInt(SaveName::attemptOf))
                .toList();
        if (!ours.isEmpty() && !isEnded(ours.getLast())) {
            return isSaved(ours.getLast()) ? new SaveStep.Saved(ours.getLast()) : new SaveStep.UnderWay(ours.getLast());
        }
        Optional<VMSnapshot> other = ofVm.stream()
                .filter(snapshot -> !isOurs(snapshot, podUid))
                .filter(snapshot -> isUnderWay(snapshot, podUid))
                .findFirst();
        if (other.isPresent()) {
            return isSaved(other.get()) ? new SaveStep.Saved(other.get()) : new SaveStep.OtherUnderWay(other.get());
        }
        if (ours.isEmpty()) {
            return new SaveStep.Begin(1, Optional.empty());
        }
        VMSnapshot last = ours.getLast();
        if (ShutdownOrder.stands(last)) {
            return ShutdownProgress.of(last, why(last));
        }
        // One that was recalled says nothing of the VM.
        List<VMSnapshot> tried =
                ours.stream().filter(save -> !ShutdownOrder.is(save)).toList();
        return tried.isEmpty() || ShutdownOrder.is(last)
                ? new SaveStep.Begin(SaveName.attemptOf(last) + 1, Optional.empty())
                : afterFailure(tried, policy, now);
    }

    private static SaveStep afterFailure(
            List<VMSnapshot> ours, Function<VMSnapshot, OnSaveFailure> policy, Instant now) {
        VMSnapshot last = ours.getLast();
        int next = SaveName.attemptOf(last) + 1;
        if (wasCancelledByUs(last)) {
            return new SaveStep.Begin(next, Optional.empty());
        }
        String why = why(last);
        boolean passes = mayPass(last);
        if (!passes || ours.size() >= TRIES_BEFORE_DELETE) {
            // Somebody who cancels wants the VM to live.
            OnSaveFailure wanted = isCancelled(last) ? OnSaveFailure.Block : policy.apply(last);
            switch (wanted) {
                case Delete -> {
                    return new SaveStep.LetGo(last, why);
                }
                case Shutdown -> {
                    return ShutdownProgress.of(last, why);
                }
                case Block -> {
                    // below
                }
            }
        }
        if (!passes) {
            return new SaveStep.Blocked(last, why);
        }
        Duration left = Duration.between(now, endedAt(last).plus(backOff(ours.size())));
        return left.isPositive() ? new SaveStep.Retry(last, why, left) : new SaveStep.Begin(next, Optional.of(why));
    }

    /** Returns whether a drain made this snapshot for a pod. */
    static boolean isOurs(VMSnapshot snapshot, String podUid) {
        return Torpor.CREATED_BY_DRAIN.equals(annotations(snapshot).get(Torpor.CREATED_BY_ANNOTATION))
                && snapshot.getSpec().source() != null
                && podUid.equals(snapshot.getSpec().source().podUID());
    }

    /** Returns whether the memory is committed. */
    static boolean isSaved(VMSnapshot snapshot) {
        return snapshot.getStatus() != null
                && Conditions.isTrue(snapshot.getStatus().getConditions(), ConditionType.SAVED);
    }

    /** Returns whether the snapshot ended without an image. */
    static boolean isEnded(VMSnapshot snapshot) {
        VMSnapshotStatus status = snapshot.getStatus();
        return status != null && !isSaved(snapshot) && ENDED.contains(status.getPhase());
    }

    /** Returns whether the snapshot was told to end before its image is committed. */
    static boolean isToldToEnd(VMSnapshot snapshot) {
        return Boolean.TRUE.equals(snapshot.getSpec().cancel())
                || snapshot.getMetadata().getDeletionTimestamp() != null;
    }

    static Map<String, String> annotations(VMSnapshot snapshot) {
        return Optional.ofNullable(snapshot.getMetadata())
                .map(ObjectMeta::getAnnotations)
                .orElse(Map.of());
    }

    // Those that wait to be admitted count if they would stop this pod: two of them would only fail one after the
    // other.
    private static boolean isUnderWay(VMSnapshot other, String podUid) {
        VMSnapshotStatus status = other.getStatus();
        SnapshotPhase phase = status == null ? null : status.getPhase();
        boolean otherPod = other.getSpec().source() != null
                && other.getSpec().source().podUID() != null
                && !podUid.equals(other.getSpec().source().podUID());
        if (otherPod || isEnded(other) || other.getMetadata().getDeletionTimestamp() != null) {
            return false;
        }
        boolean bound = status != null && status.getNodeName() != null;
        if (!bound) {
            return other.getSpec().mode() != SaveMode.Checkpoint && (phase == null || BEFORE_SAVED.contains(phase));
        }
        boolean ofThisPod =
                status.getPod() != null && podUid.equals(status.getPod().uid());
        boolean stopsThePod = isSaved(other) && other.getSpec().mode() != SaveMode.Checkpoint;
        return ofThisPod && (stopsThePod || (phase != null && BEFORE_SAVED.contains(phase)));
    }

    private static boolean isCancelled(VMSnapshot snapshot) {
        return snapshot.getStatus() != null && snapshot.getStatus().getPhase() == SnapshotPhase.Cancelled;
    }

    private static boolean wasCancelledByUs(VMSnapshot snapshot) {
        return isCancelled(snapshot)
                && Torpor.CREATED_BY_DRAIN.equals(annotations(snapshot).get(Torpor.CANCELLED_BY_ANNOTATION));
    }

    // A deadline that passed in a queue, or while the agent was away, is no verdict on the VM.
    private static boolean mayPass(VMSnapshot ended) {
        return FailureReason.named(ready(ended).map(Condition::getReason).orElse(null))
                .filter(reason ->
                        reason == FailureReason.DeadlineExceeded || reason.kind() == FailureReason.Kind.RETRYABLE)
                .isPresent();
    }

    private static String why(VMSnapshot ended) {
        return ready(ended)
                .map(ready -> ready.getReason() + ": " + ready.getMessage())
                .orElse("it ended without an image");
    }

    private static Instant endedAt(VMSnapshot ended) {
        return ready(ended)
                .map(Condition::getLastTransitionTime)
                .or(() -> Optional.ofNullable(ended.getMetadata().getCreationTimestamp()))
                .map(Instant::parse)
                .orElse(Instant.EPOCH);
    }

    private static Optional<Condition> ready(VMSnapshot ended) {
        return Optional.ofNullable(ended.getStatus())
                .flatMap(status -> Conditions.find(status.getConditions(), ConditionType.STALLED)
                        .or(() -> Conditions.find(status.getConditions(), ConditionType.READY)));
    }

    private static Duration backOff(int tries) {
        Duration doubled = BACK_OFF_FIRST.multipliedBy(1L << Math.min(tries - 1, 10));
        return doubled.compareTo(BACK_OFF_LAST) < 0 ? doubled : BACK_OFF_LAST;
    }
}
