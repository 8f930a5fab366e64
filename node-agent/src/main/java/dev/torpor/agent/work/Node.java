package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.launch.VmJournal;
import dev.torpor.agent.metrics.AgentMetrics;
import dev.torpor.api.status.StatusWriter;
import dev.torpor.failure.TorporException;
import java.time.Clock;
import java.util.concurrent.ScheduledExecutorService;
import java.util.function.Consumer;

/**
 * What all work on a node shares.
 *
 * @param store the images
 * @param journal what is remembered of each VM
 * @param vms the QEMUs in the node's pods
 * @param cluster the API, read live
 * @param status the API, written
 * @param clock for times that people see and for deadlines given as times
 * @param timer for progress and deadlines; its tasks are short
 * @param saves which saves may go on, a few at the same time
 * @param underWay what was begun, and whether more may be
 * @param readiness says in pods' status whether their guest runs
 * @param metrics hears of what is counted
 * @param hook hears of each step
 * @param wake has an item looked at, from any thread
 */
record Node(
        ImageStore store,
        VmJournal journal,
        Vm.Vms vms,
        Cluster cluster,
        StatusWriter status,
        Clock clock,
        ScheduledExecutorService timer,
        SaveTurns saves,
        UnderWay underWay,
        GuestReadiness readiness,
        AgentMetrics metrics,
        StepHook hook,
        Consumer<WorkItem> wake) {
    /** Something that a step does. */
    interface Act {
        void run() throws TorporException;
    }

    void step(Step step, Act act) throws TorporException {
        hook.before(step);
        act.run();
        hook.after(step);
    }
}
