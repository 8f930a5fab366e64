package dev.torpor.agent.work;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.FailureStatus;
import dev.torpor.api.v1alpha1.GuestStatus;
import dev.torpor.api.v1alpha1.Progress;
import dev.torpor.api.v1alpha1.RestoreStrategy;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMRestoreStatus;
import dev.torpor.failure.FailureReason;
import io.fabric8.kubernetes.api.model.Condition;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Builds the agent's part of a VMRestore's status: always all of it, from what was there and what is new. */
final class RestoreStatuses {
    private RestoreStatuses() {}

    /** The image was found to be what was committed, and waits for its pod. */
    static VMRestoreStatus checked(VMRestore seen, Instant now) {
        VMRestoreStatus own = ours(seen);
        own.setStartTime(Conditions.time(now));
        put(own, seen, ConditionType.IMAGE_AVAILABLE, true, "Checked", "lengths and checksums hold", now);
        return own;
    }

    /** The restore waits for something that may pass. */
    static VMRestoreStatus held(VMRestore seen, String reason, String message, Instant now) {
        VMRestoreStatus own = ours(seen);
        own.setProgress(null);
        put(own, seen, ConditionType.RESUMED, false, reason, message, now);
        return own;
    }

    /** QEMU reads the image; {@code why} it does not map it, if it might have. */
    static VMRestoreStatus loading(VMRestore seen, RestoreStrategy strategy, Optional<String> why, Instant now) {
        VMRestoreStatus own = ours(seen);
        own.setStrategy(strategy.name());
        own.setStrategyReason(why.orElse(null));
        put(own, seen, ConditionType.RESUMED, false, "Loading", "QEMU reads the image", now);
        return own;
    }

    /** So far. */
    static VMRestoreStatus progress(VMRestore seen, Progress progress) {
        VMRestoreStatus own = ours(seen);
        own.setProgress(progress);
        return own;
    }

    /** The guest is back; {@code load} is empty if an earlier agent did it, {@code guest} if it has no agent in it. */
    static VMRestoreStatus resumed(
            VMRestore seen,
            String reason,
            String message,
            Optional<LoadRun.Outcome.HandedOver> load,
            Optional<GuestStatus> guest,
            Instant now) {
        VMRestoreStatus own = ours(seen);
        own.setCompletionTime(Conditions.time(now));
        guest.ifPresent(own::setGuest);
        load.ifPresent(done -> {
            own.setLoadSeconds(seconds(done.seconds()));
            if (!done.lazy()) {
                own.setResidentSeconds(seconds(done.seconds()));
                own.setProgress(ProgressMeter.finished(done.memoryBytes(), done.seconds()));
            }
        });
        put(own, seen, ConditionType.RESUMED, true, reason, message, now);
        return own;
    }

    /** All memory of a guest that runs from its image has been read, so long after it ran. */
    static VMRestoreStatus resident(VMRestore seen, Duration sinceItRan) {
        VMRestoreStatus own = ours(seen);
        double load = own.getLoadSeconds() == null ? 0 : own.getLoadSeconds();
        own.setResidentSeconds(seconds(load + Math.max(0, sinceItRan.toMillis()) / 1000.0));
        return own;
    }

    /** All of its memory was compared, so long after it ran. */
    static VMRestoreStatus compared(VMRestore seen, Duration sinceItRan, Instant now) {
        VMRestoreStatus own = ours(seen);
        double load = own.getLoadSeconds() == null ? 0 : own.getLoadSeconds();
        own.setVerifiedSeconds(seconds(load + Math.max(0, sinceItRan.toMillis()) / 1000.0));
        String message = "all memory was compared with the checksums of the image";
        put(own, seen, ConditionType.VERIFIED, true, "Compared", message, now);
        return own;
    }

    /** It was not compared. */
    static VMRestoreStatus notCompared(VMRestore seen, String why, Instant now) {
        VMRestoreStatus own = ours(seen);
        put(own, seen, ConditionType.VERIFIED, false, "NotCompared", why, now);
        return own;
    }

    /** Its memory is not what was saved, and it was stopped. */
    static VMRestoreStatus damaged(VMRestore seen, String message, Instant now) {
        VMRestoreStatus own = ours(seen);
        String reason = FailureReason.ImageDamaged.name();
        own.setFailure(new FailureStatus(reason, message));
        put(own, seen, ConditionType.VERIFIED, false, reason, message, now);
        return own;
    }

    /** It failed for good. */
    static VMRestoreStatus failed(VMRestore seen, String reason, String message, Instant now) {
        VMRestoreStatus own = ours(seen);
        own.setProgress(null);
        own.setCompletionTime(Conditions.time(now));
        own.setFailure(new FailureStatus(reason, message));
        put(own, seen, ConditionType.RESUMED, false, reason, message, now);
        return own;
    }

    private static double seconds(double exactly) {
        return Math.round(exactly * 1000) / 1000.0;
    }

    private static void put(
            VMRestoreStatus own,
            VMRestore seen,
            String type,
            boolean status,
            String reason,
            String message,
            Instant now) {
        Long generation = seen.getMetadata().getGeneration();
        own.setConditions(Conditions.with(
                own.getConditions(), Conditions.next(before(seen), type, status, reason, message, generation, now)));
    }

    private static VMRestoreStatus ours(VMRestore seen) {
        VMRestoreStatus own = new VMRestoreStatus();
        VMRestoreStatus all = seen.getStatus();
        if (all != null) {
            own.setProgress(all.getProgress());
            own.setStrategy(all.getStrategy());
            own.setStrategyReason(all.getStrategyReason());
            own.setResidentSeconds(all.getResidentSeconds());
            own.setVerifiedSeconds(all.getVerifiedSeconds());
            own.setStartTime(all.getStartTime());
            own.setCompletionTime(all.getCompletionTime());
            own.setLoadSeconds(all.getLoadSeconds());
            own.setGuest(all.getGuest());
            own.setFailure(all.getFailure());
        }
        List<Condition> conditions = new ArrayList<>();
        Conditions.find(before(seen), ConditionType.IMAGE_AVAILABLE).ifPresent(conditions::add);
        Conditions.find(before(seen), ConditionType.RESUMED).ifPresent(conditions::add);
        Conditions.find(before(seen), ConditionType.VERIFIED).ifPresent(conditions::add);
        own.setConditions(conditions);
        return own;
    }

    private static @Nullable List<Condition> before(VMRestore seen) {
        return seen.getStatus() == null ? null : seen.getStatus().getConditions();
    }
}
