package dev.torpor.agent.work;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import java.time.Duration;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.LongSupplier;

/**
 * Who may save next: so many at a time, and of those that wait the one with the least memory, so that most VMs wait least
 * for their node to be empty. Snapshots that say nothing of their memory were asked for one by one and go before those.
 * The next one is woken when a turn is given back, and asks again from time to time; one that stopped asking is not waited for.
 * Thread-safe.
 */
final class SaveTurns {
    /** Several times the interval in which a waiting save asks. */
    static final Duration FORGOTTEN = Duration.ofSeconds(10);

    /** A save that is to end has a limit of bandwidth no more, and one of all memory is done in that time on most nodes. */
    static final Duration LINGERING_MAX = Duration.ofMinutes(1);

    private record Waiting(long bytes, long askedNanos, Runnable wake) {}

    private final int atOnceMax;
    private final LongSupplier nanoTime;
    private final Map<String, Waiting> waiting = new HashMap<>();
    /** Who has a turn, and since when it lingers, if it does. */
    private final Map<String, OptionalLong> underWay = new HashMap<>();

    SaveTurns(int atOnceMax) {
        this(atOnceMax, System::nanoTime);
    }

    /** @param nanoTime monotonic clock, in nanoseconds */
    SaveTurns(int atOnceMax, LongSupplier nanoTime) {
        this.atOnceMax = atOnceMax;
        this.nanoTime = nanoTime;
    }

    /** Takes a turn if it is this save's, which goes before all that say how much memory their VM has, and asks again by itself. */
    boolean take(String uid) {
        return take(uid, 0, () -> {});
    }

    /**
     * Takes a turn if it is this save's. Whoever has taken one gives it back.
     *
     * @param bytes memory of the VM, 0 if unknown
     * @param wake has it ask again; called by whoever gives a turn back, without a lock
     */
    synchronized boolean take(String uid, long bytes, Runnable wake) {
        long now = nanoTime.getAsLong();
        waiting.values().removeIf(other -> now - other.askedNanos() > FORGOTTEN.toNanos());
        waiting.put(uid, new Waiting(bytes, now, wake));
        long goFirst =
                waiting.values().stream().filter(other -> other.bytes() < bytes).count();
        if (atOnceMax - underWay.size() <= goFirst) {
            return false;
        }
        waiting.remove(uid);
        underWay.put(uid, OptionalLong.empty());
        return true;
    }

    /** Gives a turn back, if it still has one, and wakes who is next. */
    void giveBack(String uid) {
        Optional<Waiting> next;
        synchronized (this) {
            next = underWay.remove(uid) == null
                    ? Optional.empty()
                    : waiting.values().stream().min(Comparator.comparingLong(Waiting::bytes));
        }
        next.ifPresent(its -> its.wake().run());
    }

    /**
     * Hears, again and again, that a save is to end and has not. Only its QEMU knows whether it ever will, and that may be a
     * hostile pod's: after {@link #LINGERING_MAX} the others do not wait for it any longer.
     *
     * @return whether its turn was taken from it now
     */
    boolean lingers(String uid) {
        synchronized (this) {
            OptionalLong since = underWay.get(uid);
            if (since == null) {
                return false;
            }
            long now = nanoTime.getAsLong();
            if (since.isEmpty()) {
                underWay.put(uid, OptionalLong.of(now));
                return false;
            }
            if (now - since.getAsLong() < LINGERING_MAX.toNanos()) {
                return false;
            }
        }
        giveBack(uid);
        return true;
    }

    /** Nobody waits for this save any more. */
    synchronized void forget(String uid) {
        waiting.remove(uid);
    }

    /** Returns the memory that a snapshot says its VM has; 0 if it says nothing. */
    static long bytesOf(VMSnapshot snapshot) {
        return Optional.ofNullable(snapshot.getMetadata().getAnnotations())
                .map(annotations -> annotations.get(Torpor.MEMORY_ANNOTATION))
                .filter(text -> text.matches("[0-9]{1,18}"))
                .map(Long::parseLong)
                .orElse(0L);
    }
}
