package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageRecord;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.PartialIntent;
import dev.torpor.failure.FailureReason;
import java.util.Optional;

/** What is to be done for a VMSnapshot; a pure function of what was observed. */
sealed interface SaveDecision {
    /** Nothing (yet). */
    record Rest() implements SaveDecision {}

    /** Save the VM. */
    record Save() implements SaveDecision {}

    /** Undo a save that was begun, by an earlier agent or by this one. */
    record Undo() implements SaveDecision {}

    /** Say in status what the image's record says; of a fresh image, first do what comes with it. */
    record Mirror(ImageState state) implements SaveDecision {}

    /** The VM has run since: the image no longer belongs to its disks. */
    record MarkStale() implements SaveDecision {}

    /**
     * It was handed over, and the restore that did is gone or done: the image is spent.
     *
     * @param orphaned whether the restore is gone, so that first its guest must be let run, which nobody else would do
     */
    record Consume(boolean orphaned) implements SaveDecision {}

    /** Say in status that it failed for good. */
    record GiveUp(Trouble why) implements SaveDecision {}

    /** Have the VM go on and forget its image: it was deleted before anybody was told that it is saved. */
    record TakeBack(PartialIntent intent) implements SaveDecision {}

    /** Remove or keep the file, as the object asks, and let the object go. */
    record LetGo() implements SaveDecision {}

    /** A managed image waits for its VM, and nobody gave that VM's memory up: the object must stay. */
    record StayForStart() implements SaveDecision {}

    /** The image is in use by a restore, so the object must stay. */
    record StayForRestore() implements SaveDecision {}

    /**
     * What was observed.
     *
     * @param snapshot the object
     * @param here whether it was bound to this store
     * @param record the image's record
     * @param runs how often the VM has run here
     * @param inRestore whether a restore of the image is under way, or its process runs and is to be compared with it
     * @param orphaned whether the image was handed over and no object is left of the restore that did
     * @param trouble the last trouble of this save, as far as this process knows
     * @param overdue whether the deadline has passed
     */
    record Facts(
            SnapshotView snapshot,
            boolean here,
            Optional<ImageRecord> record,
            long runs,
            boolean inRestore,
            boolean orphaned,
            Optional<Trouble> trouble,
            boolean overdue) {}

    static SaveDecision of(Facts facts) {
        SnapshotView snapshot = facts.snapshot();
        if (snapshot.imported()) {
            return new Rest();
        }
        Optional<ImageState> state = facts.record().map(ImageRecord::state);
        if (state.isPresent() && state.get() instanceof ImageState.Partial) {
            return new Undo();
        }
        if (state.isPresent()
                && state.get() instanceof ImageState.HandedOver
                && snapshot.mode() != ImageMode.CHECKPOINT
                && facts.here()
                && !facts.inRestore()) {
            return new Consume(facts.orphaned());
        }
        if (snapshot.deleting()) {
            if (facts.inRestore()) {
                return new StayForRestore();
            }
            if (state.isPresent() && isFresh(state.get()) && !snapshot.saved()) {
                if (!snapshot.adopts()) {
                    return new TakeBack(facts.record().get().intent());
                }
                // Its pod ends, or its node does: the image is what will be left of the VM. Said to be saved, it is
                // given
                // up like any other, pod and all.
                return new Mirror(state.get());
            }
            if (isOverUnsaid(facts)) {
                return isFresh(state.orElseThrow()) ? new MarkStale() : new Mirror(state.orElseThrow());
            }
            if (waits(facts) && !snapshot.discard()) {
                return new StayForStart();
            }
            return state.isPresent() || !facts.here() || snapshot.failed() || snapshot.saved()
                    ? new LetGo()
                    : new GiveUp(new Trouble(FailureReason.Cancelled, "it was deleted before it was saved"));
        }
        if (snapshot.failed() || !facts.here()) {
            return new Rest();
        }
        if (state.isPresent()) {
            boolean ranSince = facts.record().get().intent().mode() != ImageMode.CHECKPOINT
                    && facts.runs() > facts.record().get().intent().runNumber()
                    && !facts.inRestore();
            return isFresh(state.get()) && ranSince && snapshot.saved() ? new MarkStale() : new Mirror(state.get());
        }
        if (snapshot.saved()) {
            return new Mirror(new ImageState.Partial()); // the file is gone, which status must not hide
        }
        return begin(facts);
    }

    /** Before the record goes: an image without a record of which status says no end is missing, and keeps the object. */
    private static boolean isOverUnsaid(Facts facts) {
        SnapshotView snapshot = facts.snapshot();
        return snapshot.mode() == ImageMode.MANAGED_SAVE
                && snapshot.saved()
                && !snapshot.discard()
                && facts.record()
                        .filter(r -> r.state() instanceof ImageState.Consumed
                                || r.state() instanceof ImageState.Stale
                                || (isFresh(r.state()) && r.intent().runNumber() < facts.runs()))
                        .isPresent()
                && !ManagedImages.isOver(snapshot.object());
    }

    // One that is missing waits too: that its VM boots without its memory is for a person to decide.
    private static boolean waits(Facts facts) {
        boolean there = facts.record()
                .map(r -> isFresh(r.state()) && r.intent().runNumber() >= facts.runs())
                .orElse(facts.here() && !ManagedImages.isOver(facts.snapshot().object()));
        return facts.snapshot().mode() == ImageMode.MANAGED_SAVE
                && facts.snapshot().saved()
                && there;
    }

    private static boolean isFresh(ImageState state) {
        return state instanceof ImageState.Complete || state instanceof ImageState.Verified;
    }

    private static SaveDecision begin(Facts facts) {
        SnapshotView snapshot = facts.snapshot();
        if (snapshot.adopts()) {
            return new GiveUp(
                    new Trouble(
                            FailureReason.ImageMissing,
                            "the save that was begun when its pod was terminated did not come to its end; another try, if there was one, has a VMSnapshot of its own"));
        }
        if (snapshot.cancel()) {
            return new GiveUp(new Trouble(FailureReason.Cancelled, "it was cancelled"));
        }
        Optional<Trouble> trouble = facts.trouble();
        if (trouble.isPresent() && trouble.get().isFinal()) {
            return new GiveUp(trouble.get());
        }
        if (facts.overdue()) {
            return new GiveUp(trouble.map(t -> t.untilDeadline(snapshot.deadlineSeconds()))
                    .orElseGet(() -> Trouble.deadline(snapshot.deadlineSeconds())));
        }
        return snapshot.podUID().isPresent() ? new Save() : new Rest();
    }
}
