package dev.torpor.agent.work;

import dev.torpor.agent.engine.Cancellation;
import dev.torpor.failure.FailureReason;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Saves that are under way in this process, by the UID of their VMSnapshot, so that whoever hears of a wish to cancel can
 * pass it on while the VM's worker is busy. Thread-safe.
 */
final class SaveWishes {
    private final Map<String, Cancellation> underWay = new ConcurrentHashMap<>();

    Cancellation begin(String uid) {
        Cancellation cancellation = new Cancellation();
        underWay.put(uid, cancellation);
        return cancellation;
    }

    void end(String uid) {
        underWay.remove(uid);
    }

    /** Passes on what an informer saw. */
    void cancelled(String uid) {
        Cancellation cancellation = underWay.get(uid);
        if (cancellation != null) {
            cancellation.request(FailureReason.Cancelled, "it was cancelled");
        }
    }
}
