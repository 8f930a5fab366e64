package dev.torpor.agent.work;

import dev.torpor.agent.engine.Cancellation;
import dev.torpor.failure.FailureReason;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Saves that are under way in this process, by the UID of their VMSnapshot, so that whoever hears of a wish to cancel, or
 * of the end of the agent, can pass it on while the VM's worker is busy. Thread-safe.
 */
final class SaveWishes {
    private static final Logger LOG = LoggerFactory.getLogger(SaveWishes.class);

    private final Map<String, Save> underWay = new ConcurrentHashMap<>();

    /** A save under way: what it is asked, and how far it is. */
    record Save(Cancellation cancellation, Pace pace) {}

    Save begin(String uid) {
        Save save = new Save(new Cancellation(), new Pace(System.nanoTime()));
        underWay.put(uid, save);
        return save;
    }

    void end(String uid) {
        underWay.remove(uid);
    }

    int count() {
        return underWay.size();
    }

    /** Passes on what an informer saw. */
    void cancelled(String uid) {
        Save save = underWay.get(uid);
        if (save != null) {
            save.cancellation.request(FailureReason.Cancelled, "it was cancelled");
        }
    }

    /** The agent ends: has each save hurry or be undone, if it would not be done in time. To be called again and again. */
    void ending(Duration left, Duration grace) {
        underWay.forEach((uid, save) -> {
            switch (StopChoice.of(left, grace, save.pace.left(System.nanoTime()))) {
                case CARRY_ON -> {}
                case HURRY -> {
                    if (save.cancellation.hurry()) {
                        LOG.info(
                                "the save of VMSnapshot {} would not be done within the {} s that are left: its limit of"
                                        + " bandwidth is lifted",
                                uid,
                                left.toSeconds());
                    }
                }
                case UNDO ->
                    save.cancellation.request(
                            FailureReason.AgentRestarted,
                            "the agent was told to end, and the save was not done in time: the next agent begins it"
                                    + " again");
            }
        });
    }
}
