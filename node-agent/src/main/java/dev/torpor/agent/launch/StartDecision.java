package dev.torpor.agent.launch;

import dev.torpor.agent.launch.StartFacts.ActiveRestore;
import dev.torpor.agent.launch.StartFacts.Away;
import dev.torpor.agent.launch.StartFacts.PodGone;
import dev.torpor.agent.launch.StartFacts.SavedImage;
import dev.torpor.agent.launch.StartFacts.Seen;
import dev.torpor.agent.launch.VmRecord.HandOver;
import dev.torpor.agent.launch.VmRecord.LastRun;
import dev.torpor.agent.launch.VmRecord.Waiting;
import java.util.Optional;

/**
 * How a VM starts: the guard against a cold boot where an image waits, and against a second resume. A pure function: the
 * journal's entry that goes with an answer is made durable by the caller, before the answer.
 */
public sealed interface StartDecision {
    /** Cold. */
    record Boot() implements StartDecision {}

    /**
     * With {@code -incoming defer}, to be fed the image that waits.
     *
     * @param restoreUID VMRestore that it is for
     */
    record Resume(String restoreUID) implements StartDecision {}

    /**
     * Not now; asked again when something changed.
     *
     * @param reason a line for the pod's log: what is waited for, and what to do if that is somebody's to do
     */
    record Wait(String reason) implements StartDecision {}

    /** Decides. The order of the questions matters. */
    static StartDecision of(StartFacts facts) {
        String pod = facts.podUID();
        VmRecord journal = facts.journal();
        if (journal.retiredPods().contains(pod)) {
            return new Wait(
                    "the VM was saved from this pod, or shut down for a drain; the pod is about to be deleted, and the VM"
                            + " starts again in a new one");
        }
        Optional<StartDecision> restoring =
                switch (facts.cluster()) {
                    case Seen seen -> restoring(seen, pod, journal);
                    case Away _ ->
                        journal.waiting()
                                .map(waiting -> new Wait("a saved image waits for this VM, and the API server does not"
                                        + " answer whether it is for this pod"));
                    // Whom it was made for, and what it might be fed, is not known any more.
                    case PodGone _ -> Optional.of(new Wait("this pod is being deleted"));
                };
        if (restoring.isPresent()) {
            return restoring.get();
        }
        Optional<SavedImage> saved = facts.savedHere()
                .or(() -> facts.cluster() instanceof Seen seen
                        ? seen.saved().stream().findFirst()
                        : Optional.empty());
        if (saved.isPresent()) {
            return new Wait("the memory of this VM is " + saved.get().where() + " (VMSnapshot "
                    + saved.get().snapshot() + "), and the VM starts from it only: see that VMSnapshot");
        }
        Optional<String> madeFor =
                switch (facts.cluster()) {
                    case Seen seen -> seen.restoreOfPod();
                    case Away _ ->
                        journal.lastRun()
                                .filter(run -> run.podUID().equals(pod))
                                .flatMap(LastRun::restoreUID);
                    case PodGone _ -> Optional.empty();
                };
        if (madeFor.isPresent() && !wasFed(journal, pod, madeFor.get())) {
            return new Wait("this pod was made for a VMRestore that is over and did not feed it: delete the pod");
        }
        return switch (facts.cluster()) {
            case Seen _ -> new Boot();
            case PodGone _ -> new Wait("this pod is being deleted");
            case Away _ ->
                journal.lastRun().filter(run -> run.podUID().equals(pod)).isPresent()
                        ? new Boot()
                        : new Wait("the API server does not answer whether an image of this VM waits, and its last run"
                                + " was not in this pod");
        };
    }

    private static Optional<StartDecision> restoring(Seen seen, String pod, VmRecord journal) {
        for (ActiveRestore restore : seen.restores()) {
            boolean forThisPod = restore.podUID().filter(pod::equals).isPresent();
            if (forThisPod
                    && journal.waiting()
                            .map(Waiting::restoreUID)
                            .filter(restore.uid()::equals)
                            .isPresent()) {
                return Optional.of(new Resume(restore.uid()));
            }
        }
        return seen.restores().stream()
                .findFirst()
                .map(restore -> new Wait("VMRestore " + restore.name() + " of this VM is under way"
                        + (restore.podUID().filter(pod::equals).isPresent()
                                ? ", and its image is not ready to be fed"
                                : ", and not (yet) known to be for this pod")));
    }

    private static boolean wasFed(VmRecord journal, String pod, String restoreUID) {
        return journal.handedOver()
                .filter((HandOver to) -> to.restoreUID().equals(restoreUID)
                        && to.process().podUID().equals(pod))
                .isPresent();
    }
}
