package dev.torpor.agent.work;

import dev.torpor.agent.work.SimulatedWorld.Guard;
import dev.torpor.agent.work.SimulatedWorld.Guest;
import dev.torpor.agent.work.SimulatedWorld.Host;
import dev.torpor.agent.work.SimulatedWorld.Pod;
import dev.torpor.api.v1alpha1.OnTermination;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.VMSnapshot;
import java.util.Objects;

/**
 * Short histories of a {@link SimulatedWorld}, without chance: in each, one guard alone keeps an invariant. They are for guards that
 * hundreds of random runs do not miss, as others stand behind them nearly always.
 */
final class SimulatedHistory {
    private static final String SNAPSHOT = "s";
    /** More rounds than anything here takes. */
    private static final int ROUNDS = 8;

    private final SimulatedWorld world;
    private final Host here;
    private final Host there;

    private SimulatedHistory(SimulatedWorld world) {
        this.world = world.calm();
        here = world.hosts.getFirst();
        there = world.hosts.getLast();
    }

    /** Tells the history of a guard. */
    static void tell(SimulatedWorld world, Guard guard) {
        SimulatedHistory history = new SimulatedHistory(world);
        switch (guard) {
            case BOOT_IN_THE_JOURNAL_FIRST -> history.aBootMakesAnImageStale();
            case VERSION_OF_A_WRITE -> history.aSnapshotIsMadeAgainWhileItsSaveIsTold();
            case UID_OF_A_DELETION -> history.anOldOperatorStopsThePodOfThatName();
            case RETIRED_POD -> history.aPodThatWasSavedIsToBeRestored();
            case GUEST_WAITS_FOR_THE_HAND_OVER -> history.anAgentDiesBeforeTheHandOverAndThenQemuDoes();
            case ONE_FEED_FOR_EACH_PROCESS -> history.anAgentDiesBeforeTheHandOver();
            case WHICH_PROCESS -> history.aContainerRestartsInTheHandOver();
            case LIVE_READ -> history.aNodeThatHeardNothingStartsTheVm();
            case TOLD_BEFORE_THE_PAUSE -> history.anAgentDiesAsItSavesAVmWhosePodEnds();
            case IMAGE_HERE, IMAGE_ELSEWHERE, SAVED_BEFORE_DELETION ->
                throw new IllegalArgumentException(guard + " is missed in random runs");
        }
        world.check();
        world.hosts.forEach(host -> world.requireImages(host, true));
    }

    private void aBootMakesAnImageStale() {
        boots(here);
        VMSnapshot image = saved(SaveMode.Save);
        deletePod();
        boots(here); // the agent dies after its answer: what it did not write down before, it never does
        world.end(here);
        here.disk.processEnds();
        deletePod();
        resume(image);
    }

    private void aSnapshotIsMadeAgainWhileItsSaveIsTold() {
        boots(here);
        here.trouble.before(Step.SAVE_PUBLISH, () -> {
            world.takeFinalizerAway(SNAPSHOT);
            world.userSaves(SNAPSHOT, SaveMode.ManagedSave);
            world.inform();
            world.operatorBinds();
        });
        save(SaveMode.ManagedSave, 3);
    }

    private void anOldOperatorStopsThePodOfThatName() {
        boots(here);
        VMSnapshot image = saved(SaveMode.ManagedSave);
        world.inform();
        deletePod();
        resume(image);
        world.operatorStopsSource();
    }

    private void aPodThatWasSavedIsToBeRestored() {
        boots(here);
        VMSnapshot image = saved(SaveMode.ManagedSave);
        world.endGuest();
        world.restoreFrom(image);
        goOn();
        world.inform();
        world.operatorStopsSource();
    }

    private void anAgentDiesBeforeTheHandOverAndThenQemuDoes() {
        boots(here);
        VMSnapshot image = saved(SaveMode.ManagedSave);
        deletePod();
        diesBefore(Step.RESTORE_HAND_OVER);
        resume(image);
        requireRuns();
    }

    private void anAgentDiesBeforeTheHandOver() {
        boots(here);
        VMSnapshot image = saved(SaveMode.ManagedSave);
        deletePod();
        here.trouble.before(Step.RESTORE_HAND_OVER, () -> {
            throw here.trouble.kill();
        });
        resume(image);
        requireRuns();
    }

    private void diesBefore(Step step) {
        here.trouble.before(step, () -> {
            world.endGuest();
            throw here.trouble.kill();
        });
    }

    private void aContainerRestartsInTheHandOver() {
        boots(here);
        VMSnapshot image = saved(SaveMode.ManagedSave);
        deletePod();
        diesBefore(Step.RESTORE_JOURNAL);
        resume(image);
        requireRuns();
    }

    private void anAgentDiesAsItSavesAVmWhosePodEnds() {
        boots(here);
        Pod ending = Objects.requireNonNull(world.pod);
        ending.policy = OnTermination.ManagedSave;
        world.delete(ending);
        world.kubelet();
        here.trouble.before(Step.SAVE_RETIRE, () -> {
            throw here.trouble.kill();
        });
        world.agent(here);
        world.endGuest();
        world.kubelet();
        startsThere();
    }

    private void aNodeThatHeardNothingStartsTheVm() {
        boots(here);
        var _ = saved(SaveMode.ManagedSave);
        deletePod();
        startsThere();
    }

    private void startsThere() {
        Pod next = newPod(there);
        next.gated = false; // the webhook was not asked
        for (int i = 0; i < ROUNDS; i++) {
            world.scheduler();
            world.kubelet();
            world.agent(there);
        }
    }

    // What happens in them.

    private Pod newPod(Host host) {
        world.controllerMakesPod();
        Pod made = Objects.requireNonNull(world.pod);
        made.bound = host;
        return made;
    }

    private void boots(Host host) {
        newPod(host);
        goOn();
        requireRuns();
    }

    private void requireRuns() {
        if (world.pod == null || world.pod.guest != Guest.RUNNING) {
            throw new AssertionError("the history is another: the VM does not run");
        }
    }

    private void save(SaveMode mode, int rounds) {
        world.userSaves(SNAPSHOT, mode);
        world.inform();
        world.operatorBinds();
        for (int i = 0; i < rounds; i++) {
            world.agent(here);
        }
    }

    private VMSnapshot saved(SaveMode mode) {
        save(mode, ROUNDS);
        VMSnapshot object = Objects.requireNonNull(world.snapshots.get(SNAPSHOT));
        if (!SimulatedWorld.saved(object)) {
            throw new AssertionError("the history is another: the VM is not saved");
        }
        return object;
    }

    private void deletePod() {
        Pod deleted = Objects.requireNonNull(world.pod);
        world.delete(deleted);
        deleted.mayGo = true;
        deleted.hook = "h";
        world.kubelet();
    }

    private void resume(VMSnapshot image) {
        newPod(here);
        world.restoreFrom(image);
        goOn();
    }

    /** Kubernetes, the operator and the agent do what there is to do; the operator acts on what it knew before. */
    private void goOn() {
        for (int i = 0; i < 3 * ROUNDS; i++) {
            world.scheduler();
            world.kubelet();
            world.agent(here);
            world.operatorGivesPod();
        }
    }
}
