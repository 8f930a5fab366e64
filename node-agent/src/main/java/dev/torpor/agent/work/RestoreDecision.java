package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageRecord;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.agent.launch.VmRecord;
import dev.torpor.api.v1alpha1.ObjectName;
import java.util.Optional;

/** What is to be done for a VMRestore; a pure function of what was observed. */
sealed interface RestoreDecision {
    /** Nothing (yet). */
    record Rest() implements RestoreDecision {}

    /** Check the image and enter it as waiting. */
    record Check() implements RestoreDecision {}

    /** Feed the pod's QEMU. */
    record Load(String podUID) implements RestoreDecision {}

    /** The image is this process's: see that the guest runs if it should, and say so. */
    record Finish(ProcessIdentity process) implements RestoreDecision {}

    /** It is over: nothing waits any more, and a consumed image goes. */
    record TidyUp(boolean consume) implements RestoreDecision {}

    /** Say in status that it failed for good. */
    record GiveUp(Trouble why) implements RestoreDecision {}

    /**
     * What was observed.
     *
     * @param restore the object
     * @param record the image's record
     * @param vm the journal
     * @param trouble the last trouble of this restore, as far as this process knows
     * @param overdue whether the deadline has passed
     */
    record Facts(
            RestoreView restore,
            Optional<ImageRecord> record,
            VmRecord vm,
            Optional<Trouble> trouble,
            boolean overdue) {
        /** The process that this restore's image was given to, by the journal or, before that was told, by the record. */
        Optional<ProcessIdentity> handedOver() {
            // The image is recorded first: if that was lost with the power, so is the hand-over, whose guest has not
            // run.
            boolean undone = record.filter(image -> image.intent().mode() != ImageMode.CHECKPOINT)
                    .map(ImageRecord::state)
                    .filter(state -> state instanceof ImageState.Complete || state instanceof ImageState.Verified)
                    .isPresent();
            Optional<ProcessIdentity> told = vm.handedOver()
                    .filter(to -> to.restoreUID().equals(restore.uid()) && !undone)
                    .map(VmRecord.HandOver::process);
            return told.or(() -> record.map(ImageRecord::state)
                    .filter(ImageState.HandedOver.class::isInstance)
                    .map(state -> ((ImageState.HandedOver) state).process())
                    .filter(process -> restore.pod()
                            .map(ObjectName::uid)
                            .filter(process.podUID()::equals)
                            .isPresent()));
        }

        boolean waits() {
            return vm.waiting()
                    .filter(w -> w.restoreUID().equals(restore.uid()))
                    .isPresent();
        }
    }

    static RestoreDecision of(Facts facts) {
        RestoreView restore = facts.restore();
        Optional<ProcessIdentity> process = facts.handedOver();
        if (restore.resumed()) {
            boolean consume = facts.record()
                    .filter(r ->
                            r.intent().mode() != ImageMode.CHECKPOINT && r.state() instanceof ImageState.HandedOver)
                    .isPresent();
            return facts.waits() || consume ? new TidyUp(consume) : new Rest();
        }
        if (process.isPresent()) {
            return new Finish(process.get());
        }
        if (restore.failed() || restore.givenUp()) {
            return facts.waits() ? new TidyUp(false) : new Rest();
        }
        Optional<Trouble> trouble = facts.trouble();
        if (trouble.isPresent() && trouble.get().isFinal()) {
            return new GiveUp(trouble.get());
        }
        if (facts.overdue()) {
            return new GiveUp(trouble.map(t -> t.untilDeadline(restore.deadlineSeconds()))
                    .orElseGet(() -> Trouble.deadline(restore.deadlineSeconds())));
        }
        if (!facts.waits() || !restore.checked()) {
            return new Check();
        }
        return restore.pod()
                .map(ObjectName::uid)
                .<RestoreDecision>map(Load::new)
                .orElseGet(Rest::new);
    }
}
