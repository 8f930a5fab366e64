package dev.torpor.operator.snapshot;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.failure.FailureReason;
import dev.torpor.operator.event.EventReason;
import dev.torpor.operator.event.Notice;
import dev.torpor.operator.vm.ManagedImages;
import dev.torpor.operator.vm.RecordedManifests;
import dev.torpor.operator.vm.StoreState;
import dev.torpor.operator.vm.Terminations;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.Pod;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
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
record SnapshotDecision(
        SnapshotAction action,
        @Nullable VMSnapshotStatus own,
        @Nullable Duration lookAgain,
        @Nullable Notice notice) {
    /** Leases and nodes are not watched: what waits for them looks again this often. */
    static final Duration STORE_INTERVAL = Duration.ofSeconds(10);
    /** How soon a Ready snapshot whose node was deleted is noticed. */
    static final Duration NODE_INTERVAL = Duration.ofMinutes(1);

    /** VolumeSnapshots are not watched, as a cluster need not have them: how often they are looked at while a guest is paused for them. */
    static final Duration CUT_INTERVAL = Duration.ofMillis(250);

    private static final SnapshotAction NOTHING = new SnapshotAction.Nothing();

    /** Decides. Pure: reads and writes nothing, and takes the time as an argument. */
    static SnapshotDecision decide(VMSnapshot seen, SnapshotSituation situation, Instant now) {
        String vm = seen.getSpec().vmName();
        OwnSnapshotStatus own = new OwnSnapshotStatus(seen, now);
        return switch (situation) {
            case SnapshotSituation.Ended() -> new SnapshotDecision(NOTHING, null, null, null);
            case SnapshotSituation.StatusOfAnother() ->
                // Not written over: a field that somebody else owns is not ours to take.
                new SnapshotDecision(
                        NOTHING,
                        null,
                        null,
                        new Notice(
                                EventReason.ImageUnusable,
                                "%s: its status was restored from a backup and is another object's. Nothing was done to VM %s. Delete this VMSnapshot; make a new one to save the VM."
                                        .formatted(FailureReason.RestoredFromBackup, vm)));
            case SnapshotSituation.New() ->
                new SnapshotDecision(new SnapshotAction.AddFinalizer(), null, Duration.ZERO, null);
            case SnapshotSituation.CancelledUnbound() -> {
                String message = "Cancelled before the save of VM %s began. Nothing was done to the VM.".formatted(vm);
                yield ended(
                        own, SnapshotPhase.Cancelled, FailureReason.Cancelled.name(), message, EventReason.Cancelled);
            }
            case SnapshotSituation.Refused(FailureReason reason, String message) ->
                refused(seen, own, reason, message, now);
            case SnapshotSituation.Admissible(SnapshotSituation.Binding binding) -> admissible(seen, own, binding, now);
            case SnapshotSituation.InWork(StoreState store, Cuts cuts) ->
                inWork(seen, own, store).with(cuts, CUT_INTERVAL);
            case SnapshotSituation.GaveUp(String reason, String message, Cuts cuts) ->
                (FailureReason.Cancelled.name().equals(reason)
                                ? ended(own, SnapshotPhase.Cancelled, reason, message, EventReason.Cancelled)
                                : ended(own, SnapshotPhase.Failed, reason, message, EventReason.SaveFailed))
                        .with(cuts, STORE_INTERVAL);
            case SnapshotSituation.StoppingSource(var pod, boolean terminating) -> {
                String message = "The memory of VM %s is saved; pod %s is being deleted. The image is safe."
                        .formatted(vm, pod.name());
                yield new SnapshotDecision(
                        terminating ? NOTHING : new SnapshotAction.DeletePod(pod),
                        own.working(SnapshotPhase.Saved, SnapshotReason.StoppingVM.name(), message),
                        STORE_INTERVAL,
                        new Notice(EventReason.StoppingVM, message));
            }
            case SnapshotSituation.Restorable(String nodeName, Cuts cuts) -> {
                String message = restorable(seen, nodeName);
                yield new SnapshotDecision(
                                NOTHING,
                                own.ready(SnapshotReason.Restorable.name(), message),
                                NODE_INTERVAL,
                                new Notice(EventReason.Restorable, message))
                        .with(cuts, STORE_INTERVAL);
            }
            case SnapshotSituation.PodMissing(Pod manifest) ->
                new SnapshotDecision(
                        new SnapshotAction.CreatePod(manifest),
                        null,
                        Duration.ZERO,
                        new Notice(
                                EventReason.PodCreated,
                                "Pod %s of VM %s was created again from its recorded manifest, and waits for its memory."
                                        .formatted(manifest.getMetadata().getName(), vm)));
            case SnapshotSituation.Held(String reason, String message, Optional<Pod> pod, Duration lookAgain) ->
                new SnapshotDecision(
                        pod.<SnapshotAction>map(
                                        held -> new SnapshotAction.TellPod(held, savedNotice(seen, reason, message)))
                                .orElse(NOTHING),
                        own.waiting(restorable(seen, nodeNameOf(seen)), false, reason, message),
                        lookAgain,
                        new Notice(EventReason.StartHeld, reason + ": " + message));
            case SnapshotSituation.Startable(String nodeName, String restoreName) -> {
                String message = "VM %s is being started on node %s by VMRestore %s. The image is safe."
                        .formatted(vm, nodeName, restoreName);
                yield new SnapshotDecision(
                        new SnapshotAction.StartRestore(nodeName, restoreName),
                        own.waiting(restorable(seen, nodeName), true, SnapshotReason.Starting.name(), message),
                        STORE_INTERVAL,
                        new Notice(EventReason.Starting, message));
            }
            case SnapshotSituation.NamespaceDeleted() ->
                new SnapshotDecision(new SnapshotAction.Discard(), null, Duration.ZERO, null);
            case SnapshotSituation.BeingRestored(String restoreName, List<VMRestore> failedBefore) -> {
                String message = "VMRestore %s is bringing VM %s back from this image. The image is safe."
                        .formatted(restoreName, vm);
                yield new SnapshotDecision(
                        failedBefore.isEmpty() ? NOTHING : new SnapshotAction.ForgetRestores(failedBefore),
                        own.working(SnapshotPhase.Resuming, SnapshotReason.Resuming.name(), message),
                        null,
                        new Notice(EventReason.Resuming, message));
            }
            case SnapshotSituation.Consumed(var by) -> {
                String message = by == null
                        ? "The image was restored in place and is gone. Save VM %s again for a new one.".formatted(vm)
                        : "VMRestore %s brought VM %s back in pod %s; the image was consumed."
                                .formatted(by.restoreName(), vm, by.podName());
                yield new SnapshotDecision(
                        NOTHING,
                        own.consumed(by, SnapshotReason.Consumed.name(), message),
                        null,
                        new Notice(EventReason.Consumed, message));
            }
            case SnapshotSituation.ImageUnusable(String reason, String trouble) -> {
                String message = ManagedImages.waits(seen) ? trouble + blocked(seen) : trouble;
                yield new SnapshotDecision(
                        NOTHING,
                        own.notRestorable(reason, message),
                        NODE_INTERVAL,
                        new Notice(EventReason.ImageUnusable, message));
            }
            case SnapshotSituation.DeletedUnbound() ->
                new SnapshotDecision(new SnapshotAction.RemoveFinalizer(), null, null, null);
            case SnapshotSituation.DeletedWithNode(String message) ->
                new SnapshotDecision(
                        new SnapshotAction.RemoveFinalizer(),
                        null,
                        null,
                        new Notice(
                                EventReason.ImageOrphaned,
                                message
                                        + " Its image of VM %s was not deleted: if that disk returns, its agent reports it."
                                                .formatted(vm)));
            case SnapshotSituation.DeletedByAgent() ->
                new SnapshotDecision(
                        NOTHING,
                        own.working(
                                own.phase(),
                                SnapshotReason.Deleting.name(),
                                "The object is being deleted; the node's agent sees to the image."),
                        STORE_INTERVAL,
                        null);
        };
    }

    /** Returns the same with a checkpoint's VolumeSnapshots, which are looked at again after an interval if they are waited for. */
    private SnapshotDecision with(Cuts cuts, Duration interval) {
        if (own == null || cuts.now().isEmpty()) {
            return this;
        }
        own.setVolumeSnapshots(cuts.now());
        boolean idle = cuts.create().isEmpty() && cuts.delete().isEmpty();
        return new SnapshotDecision(
                idle ? action : new SnapshotAction.CutDisks(cuts.create(), cuts.delete()),
                own,
                cuts.awaited() ? interval : lookAgain,
                notice);
    }

    /** Returns when a snapshot is given up. */
    static Instant deadline(VMSnapshot seen) {
        Integer seconds = seen.getSpec().deadlineSeconds();
        return Instant.parse(seen.getMetadata().getCreationTimestamp())
                .plusSeconds(seconds == null ? OwnSnapshotStatus.DEADLINE_SECONDS_DEFAULT : seconds);
    }

    /** One that stands for an image that is there saves nothing, and its node may be down for long. */
    private static boolean isOverdue(VMSnapshot seen, Instant now) {
        return !Terminations.isAdopting(seen) && !now.isBefore(deadline(seen));
    }

    private static SnapshotDecision refused(
            VMSnapshot seen, OwnSnapshotStatus own, FailureReason reason, String message, Instant now) {
        if (reason.kind() != FailureReason.Kind.RETRYABLE) {
            return ended(own, SnapshotPhase.Failed, reason.name(), message, EventReason.SaveFailed);
        }
        if (isOverdue(seen, now)) {
            return overdue(seen, own, reason + ": " + message);
        }
        return new SnapshotDecision(
                NOTHING,
                own.working(SnapshotPhase.Pending, reason.name(), message),
                Terminations.isAdopting(seen)
                        ? STORE_INTERVAL
                        : earlier(STORE_INTERVAL, Duration.between(now, deadline(seen))),
                new Notice(EventReason.Waiting, reason + ": " + message));
    }

    private static SnapshotDecision admissible(
            VMSnapshot seen, OwnSnapshotStatus own, SnapshotSituation.Binding binding, Instant now) {
        if (isOverdue(seen, now)) {
            String trouble = Optional.ofNullable(seen.getStatus())
                    .flatMap(status -> Conditions.find(status.getConditions(), ConditionType.READY))
                    .map(ready -> ready.getReason() + ": " + ready.getMessage())
                    .orElse("the operator did not come to it in time. Nothing was done to the VM.");
            return overdue(seen, own, trouble);
        }
        String message = Terminations.isAdopting(seen)
                ? (Terminations.isOfImport(seen)
                                ? "A file of libvirt's was imported on node %s for VM %s."
                                : "The agent of node %s saved VM %s as its pod was terminated.")
                        .formatted(binding.nodeName(), seen.getSpec().vmName())
                : boundMessage(seen, binding.nodeName(), binding.pod().name());
        return new SnapshotDecision(
                binding.manifest()
                        .<SnapshotAction>map(SnapshotAction.RecordManifest::new)
                        .orElse(NOTHING),
                own.bound(
                        binding,
                        binding.pod(),
                        RecordedManifests.nameFor(seen, binding.pod()),
                        SnapshotReason.Bound.name(),
                        message),
                STORE_INTERVAL,
                new Notice(EventReason.Bound, message));
    }

    private static SnapshotDecision overdue(VMSnapshot seen, OwnSnapshotStatus own, String trouble) {
        String message = "Not admitted within %d s. The last trouble was %s"
                .formatted(
                        Duration.between(Instant.parse(seen.getMetadata().getCreationTimestamp()), deadline(seen))
                                .toSeconds(),
                        trouble);
        return ended(own, SnapshotPhase.Failed, FailureReason.DeadlineExceeded.name(), message, EventReason.SaveFailed);
    }

    private static SnapshotDecision inWork(VMSnapshot seen, OwnSnapshotStatus own, StoreState store) {
        Optional<Condition> saved = Optional.ofNullable(seen.getStatus())
                .flatMap(status -> Conditions.find(status.getConditions(), ConditionType.SAVED));
        SnapshotPhase phase = saved.isPresent() ? SnapshotPhase.Saving : SnapshotPhase.Bound;
        String reason;
        String message;
        switch (store) {
            case StoreState.Away(String trouble) -> {
                reason = FailureReason.StoreUnavailable.name();
                message = trouble;
            }
            case StoreState.NodeGone(String trouble) -> {
                reason = SnapshotReason.NodeGone.name();
                message = trouble + " Delete this VMSnapshot.";
            }
            case StoreState.Alive _ -> {
                reason = saved.map(Condition::getReason).orElse(SnapshotReason.Bound.name());
                // The agent's words are repeated only where they tell of a trouble: each change here is a write.
                message = saved.filter(
                                condition -> !SnapshotReason.Saving.name().equals(condition.getReason()))
                        .map(Condition::getMessage)
                        .orElseGet(() -> boundMessage(seen, nodeNameOf(seen), podNameOf(seen)));
            }
        }
        return new SnapshotDecision(
                NOTHING,
                own.working(phase, reason, message),
                STORE_INTERVAL,
                FailureReason.StoreUnavailable.name().equals(reason) ? new Notice(EventReason.Waiting, message) : null);
    }

    private static SnapshotDecision ended(
            OwnSnapshotStatus own, SnapshotPhase phase, String reason, String message, EventReason event) {
        String text = event == EventReason.SaveFailed ? reason + ": " + message : message;
        return new SnapshotDecision(NOTHING, own.stalled(phase, reason, message), null, new Notice(event, text));
    }

    private static String boundMessage(VMSnapshot seen, @Nullable String nodeName, @Nullable String podName) {
        return "The agent of node %s saves VM %s (pod %s)."
                .formatted(nodeName, seen.getSpec().vmName(), podName);
    }

    private static @Nullable String nodeNameOf(VMSnapshot seen) {
        return seen.getStatus() == null ? null : seen.getStatus().getNodeName();
    }

    private static @Nullable String podNameOf(VMSnapshot seen) {
        return seen.getStatus() == null || seen.getStatus().getPod() == null
                ? null
                : seen.getStatus().getPod().name();
    }

    private static Notice savedNotice(VMSnapshot seen, String reason, String message) {
        return new Notice(
                EventReason.Saved,
                "The memory of VM %s is on node %s, in VMSnapshot %s. Not started yet: %s: %s"
                        .formatted(
                                seen.getSpec().vmName(),
                                nodeNameOf(seen),
                                seen.getMetadata().getName(),
                                reason,
                                message));
    }

    // Never booted without its memory by itself: that is for a person to decide.
    private static String blocked(VMSnapshot seen) {
        return " VM %s stays stopped. To give up its memory and have it boot: kubectl annotate vmsnapshot %s %s=true, then delete it."
                .formatted(seen.getSpec().vmName(), seen.getMetadata().getName(), Torpor.DISCARD_ANNOTATION);
    }

    private static String restorable(VMSnapshot seen, @Nullable String nodeName) {
        String message = "The image of VM %s is on node %s. The image is safe."
                .formatted(seen.getSpec().vmName(), nodeName);
        if (seen.getSpec().mode() == SaveMode.ManagedSave && seen.getMetadata().getDeletionTimestamp() != null) {
            return message
                    + " It was deleted, and stays until the VM has started from it, or until it is annotated %s=true."
                            .formatted(Torpor.DISCARD_ANNOTATION);
        }
        return seen.getSpec().mode() == SaveMode.Checkpoint ? message + " The VM carried on." : message;
    }

    private static Duration earlier(Duration one, Duration other) {
        return one.compareTo(other) <= 0 ? one : other;
    }
}
