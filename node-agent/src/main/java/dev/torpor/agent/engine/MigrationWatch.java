package dev.torpor.agent.engine;

import com.fasterxml.jackson.databind.JsonNode;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpCommand;
import dev.torpor.agent.qmp.QmpCommandException;
import dev.torpor.agent.qmp.QmpEvent;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/**
 * Waits for a migration to end, by asking: events can be lost, the answer to query-migrate cannot. An event is a reason to
 * ask at once.
 */
final class MigrationWatch {
    // A load of 4 GiB takes two seconds: fifty looks a second cost nothing. The shorter one is, the more a pause
    // counts.
    private static final long PAUSE_NANOS_MAX = TimeUnit.MILLISECONDS.toNanos(20);
    private static final long PAUSE_NANOS_MIN = TimeUnit.MILLISECONDS.toNanos(2);
    private static final int PART = 16;
    private static final long CLEAN_UP_NANOS_MAX = TimeUnit.SECONDS.toNanos(10);
    /** What a QEMU that cannot be asked gets for that after a migration that failed: its thread does it, when it gets its turn. */
    private static final long CLEAN_UP_NANOS_OLD = TimeUnit.SECONDS.toNanos(1);

    /** Capability that has QEMU announce each change of a migration's status. */
    static final String EVENTS = "events";

    private static final String NONE = "none";
    private static final Set<String> ENDS = Set.of("completed", "failed", "cancelled");

    private MigrationWatch() {}

    /** How a migration ended. */
    sealed interface End {
        /** With QEMU's last statistics. */
        record Completed(JsonNode statistics) implements End {}

        /** With QEMU's words; on 10.0 little more than strerror, the rest is on its stderr. */
        record Failed(String description) implements End {}

        /** There never was one. */
        record None() implements End {}
    }

    /**
     * Waits for the end, however long it takes: QEMU's own I/O sets the pace. A wish to hurry or to cancel lifts the
     * bandwidth limit, so that the end comes sooner, and is otherwise left to the caller.
     */
    static End await(QmpClient qmp, Cancellation cancellation, ProgressListener listener) throws TorporException {
        return await(qmp, cancellation, listener, () -> {});
    }

    /** Something of the caller's. */
    interface Look {
        void now() throws TorporException;
    }

    /** Does the same, and something of the caller's at each look. */
    static End await(QmpClient qmp, Cancellation cancellation, ProgressListener listener, Look look)
            throws TorporException {
        long began = System.nanoTime();
        boolean lifted = false;
        while (true) {
            JsonNode status = qmp.execute("query-migrate");
            look.now();
            JsonNode ram = status.path("ram");
            if (ram.has("total")) {
                long total = ram.path("total").asLong();
                listener.progress(total - ram.path("remaining").asLong(), total);
            }
            Optional<End> end = end(status);
            if (end.isPresent()) {
                return end.get();
            }
            if (cancellation.hurried() && !lifted) {
                qmp.execute("migrate-set-parameters", Map.of("max-bandwidth", 0));
                lifted = true;
            }
            long pause = Math.clamp((System.nanoTime() - began) / PART, PAUSE_NANOS_MIN, PAUSE_NANOS_MAX);
            var _ = qmp.awaitEvent(MigrationWatch::isEnd, Duration.ofNanos(pause));
            if (Thread.currentThread().isInterrupted()) {
                throw new TorporException(
                        FailureReason.AgentRestarted, "the agent was asked to stop while QEMU was at work");
            }
        }
    }

    /**
     * Waits for a load to end, but no longer than is wished: nothing depends on it, as the image is only read. A QEMU that is left in the middle
     * of it is to be ended, and until then nothing of its settings to be touched.
     *
     * @param look at each look, before the wish
     * @throws TorporException why the end was asked for
     */
    static End awaitLoad(QmpClient qmp, Cancellation cancellation, ProgressListener listener, Look look)
            throws TorporException {
        // It is not asked to hurry: only what is sent has a limit.
        return await(qmp, new Cancellation(), listener, () -> {
            look.now();
            cancellation.check();
        });
    }

    /** What QEMU is asked for {@link #end}. */
    static final QmpCommand QUESTION = QmpCommand.of("query-migrate");

    /** Returns how a migration ended, as QEMU says; empty while it has not. */
    static Optional<End> end(JsonNode status) {
        return switch (status.path("status").asText(NONE)) {
            case "completed" -> Optional.of(new End.Completed(status));
            case "failed", "cancelled" ->
                Optional.of(new End.Failed(status.path("error-desc").asText("no reason given")));
            case "none" -> Optional.of(new End.None());
            // setup, active, device and whatever later versions add in between
            default -> Optional.empty();
        };
    }

    /**
     * Waits until QEMU has closed the sockets of a migration of which it says that it has ended. It closes as many channels as
     * the settings say then; if those were changed in between, it leaks some and dies of that (tried on 10.0.2: the assertion
     * of yank_unregister_instance in util/yank.c). What can be yanked (query-yank, QEMU 6.0) goes with the sockets.
     *
     * <p>A QEMU before that is given time if the migration failed: one of 5.2 that was saved again 20 ms after such an end died of an
     * assertion of multifd_send_pages at about the 250th time (tried twice, on a busy machine), or kept some of its sockets open.
     *
     * @param end how it ended
     * @throws TorporException QMPTimeout if it does not: its settings must not be touched
     */
    static void awaitCleanUp(QmpClient qmp, End end) throws TorporException {
        long until = System.nanoTime() + CLEAN_UP_NANOS_MAX;
        while (isToClean(qmp, end)) {
            if (System.nanoTime() > until) {
                throw new TorporException(
                        FailureReason.QMPTimeout, "QEMU is not done yet with a migration that has ended");
            }
            LockSupport.parkNanos(PAUSE_NANOS_MIN);
        }
    }

    private static boolean isToClean(QmpClient qmp, End end) throws TorporException {
        JsonNode instances;
        try {
            instances = qmp.execute("query-yank");
        } catch (QmpCommandException e) {
            LockSupport.parkNanos(end instanceof End.Failed ? CLEAN_UP_NANOS_OLD : PAUSE_NANOS_MAX);
            return false;
        }
        for (JsonNode instance : instances) {
            if (instance.path("type").asText().equals("migration")) {
                return true;
            }
        }
        return false;
    }

    /** Tells whether there is a migration, under way or ended. */
    static boolean isBegun(QmpClient qmp) throws TorporException {
        return !qmp.execute("query-migrate").path("status").asText(NONE).equals(NONE);
    }

    /** Tells whether a migration has begun and not ended. */
    static boolean isUnderWay(QmpClient qmp) throws TorporException {
        String status = qmp.execute("query-migrate").path("status").asText(NONE);
        return !status.equals(NONE) && !ENDS.contains(status);
    }

    private static boolean isEnd(QmpEvent event) {
        return event.name().equals("MIGRATION")
                && ENDS.contains(event.data().path("status").asText());
    }
}
