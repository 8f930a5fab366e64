package dev.torpor.telemetry.log;

import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.slf4j.MDC;

/**
 * While it is open, each log line of this thread carries an object's identity. Closing it restores what was there before;
 * for try-with-resources on one thread.
 */
public final class LogScope implements AutoCloseable {
    private final @Nullable Map<String, String> before = MDC.getCopyOfContextMap();

    private LogScope() {}

    /**
     * Opens a scope for an object.
     *
     * @param attempt how often it was tried in a row, from 1
     */
    public static LogScope of(ObjectRef object, int attempt) {
        LogScope scope = new LogScope();
        MDC.put(Identity.KIND, object.kind());
        MDC.put(Identity.NAMESPACE, object.namespace());
        MDC.put(Identity.NAME, object.name());
        object.uid().ifPresentOrElse(uid -> MDC.put(Identity.UID, uid), () -> MDC.remove(Identity.UID));
        MDC.put(Identity.ATTEMPT, Integer.toString(attempt));
        return scope;
    }

    /** Opens a scope that adds a UID to the identity that is there: it became known. */
    public static LogScope uid(String uid) {
        LogScope scope = new LogScope();
        MDC.put(Identity.UID, uid);
        return scope;
    }

    /** Returns a task that runs in the scope of the caller, on whatever thread: the identity does not follow by itself. */
    public static Runnable carry(Runnable task) {
        Map<String, String> ours = MDC.getCopyOfContextMap();
        return () -> {
            try (LogScope _ = new LogScope()) {
                restore(ours);
                task.run();
            }
        };
    }

    @Override
    public void close() {
        restore(before);
    }

    private static void restore(@Nullable Map<String, String> values) {
        if (values == null) {
            MDC.clear();
        } else {
            MDC.setContextMap(values);
        }
    }
}
