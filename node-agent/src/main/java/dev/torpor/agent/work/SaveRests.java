package dev.torpor.agent.work;

import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;

/**
 * How long a guest is let run before it is paused again for a save that has failed while it was paused: a disk that is full or
 * broken is seen only then, and a save that is tried again at once, until its deadline, would leave the guest no time. Thread-safe.
 */
final class SaveRests {
    private static final Duration FIRST = Duration.ofSeconds(2);
    private static final Duration MAX = Duration.ofMinutes(1);

    private final Map<String, Rest> rests = new ConcurrentHashMap<>();

    private record Rest(int pauses, long untilNanos) {}

    /** Notes that the guest was paused for nothing: the more often in a row, the longer it is let run now. */
    void pausedInVain(String uid, long nowNanos) {
        rests.compute(uid, (_, rest) -> {
            int pauses = rest == null ? 0 : rest.pauses();
            return new Rest(pauses + 1, nowNanos + after(pauses).toNanos());
        });
    }

    /** Returns how long the next try has to wait; empty if it does not. */
    Optional<Duration> left(String uid, long nowNanos) {
        return Optional.ofNullable(rests.get(uid))
                .map(rest -> Duration.ofNanos(rest.untilNanos() - nowNanos))
                .filter(Duration::isPositive);
    }

    void forget(String uid) {
        rests.remove(uid);
    }

    private static Duration after(int pauses) {
        long seconds = FIRST.toSeconds() << Math.min(pauses, Long.SIZE / 2);
        return Duration.ofSeconds(Math.min(seconds, MAX.toSeconds()));
    }
}
