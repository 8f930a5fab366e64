package dev.torpor.agent.engine;

import com.fasterxml.jackson.databind.JsonNode;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/** Waits for a migration to end, by asking: events can be lost, the answer to query-migrate cannot. */
final class MigrationWatch {
    // A load of 4 GiB takes two seconds: fifty looks a second cost nothing and delay its end by 10 ms on average.
    private static final long POLL_NANOS = TimeUnit.MILLISECONDS.toNanos(20);
    // The first second is looked at more often, for small VMs.
    private static final long EAGER_POLL_NANOS = TimeUnit.MILLISECONDS.toNanos(5);
    private static final long EAGER_NANOS = TimeUnit.SECONDS.toNanos(1);

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
        long began = System.nanoTime();
        boolean lifted = false;
        while (true) {
            JsonNode status = qmp.execute("query-migrate");
            JsonNode ram = status.path("ram");
            if (ram.has("total")) {
                long total = ram.path("total").asLong();
                listener.progress(total - ram.path("remaining").asLong(), total);
            }
            switch (status.path("status").asText("none")) {
                case "completed" -> {
                    return new End.Completed(status);
                }
                case "failed", "cancelled" -> {
                    return new End.Failed(status.path("error-desc").asText("no reason given"));
                }
                case "none" -> {
                    return new End.None();
                }
                default -> {
                    // setup, active, device and whatever later versions add in between
                }
            }
            if (cancellation.hurried() && !lifted) {
                qmp.execute("migrate-set-parameters", Map.of("max-bandwidth", 0));
                lifted = true;
            }
            LockSupport.parkNanos(System.nanoTime() - began < EAGER_NANOS ? EAGER_POLL_NANOS : POLL_NANOS);
            if (Thread.currentThread().isInterrupted()) {
                throw new TorporException(
                        FailureReason.AgentRestarted, "the agent was asked to stop while QEMU was at work");
            }
        }
    }
}
