package dev.torpor.agent.work;

import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.launch.VmJournal;
import dev.torpor.agent.metrics.AgentMetrics;
import dev.torpor.api.status.StatusWriter;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import dev.torpor.telemetry.log.LogScope;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
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

    /**
     * Has work give up at a time, at once if that has passed.
     *
     * @param message what is said then
     * @return to be cancelled when the work has ended
     */
    Future<?> endAt(Instant deadline, Cancellation cancellation, String message) {
        return timer.schedule(
                LogScope.carry(() -> cancellation.request(FailureReason.DeadlineExceeded, message)),
                Math.max(0, Duration.between(clock.instant(), deadline).toMillis()),
                TimeUnit.MILLISECONDS);
    }

    void step(Step step, Act act) throws TorporException {
        hook.before(step);
        act.run();
        hook.after(step);
    }
}
