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
import dev.torpor.operator.vm.ManagedImages;
import dev.torpor.operator.vm.ShutdownOrder;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.ObjectMeta;
import io.fabric8.kubernetes.api.model.Pod;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import java.util.function.Predicate;

/** Tells from a VM's snapshots where the save of one of its pods stands. Pure. */
final class SaveProgress {
    /** Saves that fail for a passing reason are repeated after this, then after twice as long each. */
    static final Duration BACK_OFF_FIRST = Duration.ofSeconds(30);

    static final Duration BACK_OFF_LAST = Duration.ofMinutes(10);
    /** So many tries fail for passing reasons before a class that says Delete or Shutdown is heeded. */
    static final int TRIES_BEFORE_DELETE = 3;

    /** An eviction from a node that takes pods is asked for once; what came of it counts for this long. */
    static final Duration EVICTION_COUNTS = Duration.ofMinutes(10);

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
     * @param restoring tells whether a VMRestore brings the memory of a snapshot back, is about to, or has; asked only if one
     *     waits
     */
    static SaveStep of(
            Pod pod,
            List<VMSnapshot> ofVm,
            Function<VMSnapshot, OnSaveFailure> policy,
            Predicate<VMSnapshot> restoring,
            Instant now) {
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
        List<VMSnapshot> waiting = ofVm.stream().filter(ManagedImages::waits).toList();
        if (!waiting.isEmpty()) {
            Optional<VMSnapshot> restored = waiting.stream().filter(restoring).findFirst();
            return new SaveStep.Starting(restored.orElse(waiting.getLast()), restored.isPresent());
        }
        if (ours.isEmpty()) {
            return new SaveStep.Begin(1, Optional.empty());
        }
        VMSnapshot last = ours.getLast();
        if (ShutdownOrder.stands(last)) {
            return ShutdownProgress.of(last, why(last));
        }
        List<VMSnapshot> tried = new ArrayList<>();
        for (VMSnapshot save : ours) {
            if (wasCancelledByUs(save) || (!tried.isEmpty() && isLongAgo(tried.getLast(), createdAt(save)))) {
                tried.clear(); // what came before was another drain
            }
            if (counts(save)) {
                tried.add(save);
            }
        }
        if (!tried.isEmpty() && isLongAgo(tried.getLast(), now)) {
            tried.clear();
        }
        return tried.isEmpty() || !tried.getLast().equals(last)
                ? new SaveStep.Begin(SaveName.attemptOf(last) + 1, Optional.empty())
                : afterFailure(tried, policy, now);
    }

    /** Returns whether a failed save tells something of what the VM is worth to its drain. */
    private static boolean counts(VMSnapshot save) {
        if (ShutdownOrder.is(save) || wasCancelledByUs(save)) {
            return false; // recalled
        }
        if (isCancelled(save) || ShutdownProgress.isAsked(save)) {
            return true; // a person's word, and one of ours that stands
        }
        // It met the VM before it had gone on: had it waited a moment, it would not have failed.
        boolean tooEarly = FailureReason.named(
                        ready(save).map(Condition::getReason).orElse(null))
                .filter(reason -> reason == FailureReason.AlreadySaved)
                .isPresent();
        return !tooEarly && !isOfAnEarlierDrain(save);
    }

    /** Nobody tells when an eviction from a node that takes pods is given up; one that goes on is repeated soon. */
    private static boolean isLongAgo(VMSnapshot save, Instant now) {
        return DrainCause.of(save) == DrainCause.Eviction
                && !isCancelled(save)
                && !ShutdownProgress.isAsked(save)
                && now.isAfter(endedAt(save).plus(EVICTION_COUNTS));
    }

    private static Instant createdAt(VMSnapshot save) {
        String created = save.getMetadata().getCreationTimestamp();
        return created == null ? Instant.EPOCH : Instant.parse(created);
    }

    static boolean isOfAnEarlierDrain(VMSnapshot save) {
        return annotations(save).containsKey(Torpor.DRAIN_OVER_ANNOTATION);
    }

    /** Returns whether a save failed by itself: nobody cancelled it. */
    static boolean hasFailed(VMSnapshot save) {
        return isEnded(save) && !isCancelled(save) && !ShutdownOrder.is(save);
    }

    private static SaveStep afterFailure(
            List<VMSnapshot> ours, Function<VMSnapshot, OnSaveFailure> policy, Instant now) {
        VMSnapshot last = ours.getLast();
        int next = SaveName.attemptOf(last) + 1;
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
