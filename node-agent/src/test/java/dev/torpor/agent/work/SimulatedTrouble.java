package dev.torpor.agent.work;

import dev.torpor.agent.linux.SimulatedDisk;
import java.util.EnumMap;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** What goes wrong in a simulation, and when: one thing at a time, armed to strike at the n-th call from now. */
final class SimulatedTrouble {
    /** What may go wrong. */
    enum Kind {
        /** The agent's process ends. */
        KILL,
        /** Its node loses power: what was not flushed may be gone. */
        POWER,
        DISK_ERROR,
        DISK_FULL,
        SHORT_WRITE,
        /** The API server does not answer, and has not done what it was asked. */
        API_AWAY,
        /** It has, and its answer is lost. */
        API_ANSWER_LOST,
        /** The monitor does not answer in time. */
        MONITOR_DEAF,
        /** QEMU ends. */
        QEMU_DIES
    }

    /** Where a call goes. */
    enum Place {
        DISK,
        API,
        MONITOR,
        STEP
    }

    /** The agent's process is gone, in the middle of whatever it did. */
    static final class KilledError extends Error {
        private static final long serialVersionUID = 1L;

        KilledError() {
            super("killed", null, false, false);
        }
    }

    private final Random random;
    private final Map<Kind, Integer> struck = new EnumMap<>(Kind.class);
    private @Nullable Kind armed;
    private int left;
    private boolean dead;
    private boolean powerLost;
    private @Nullable Step awaited;
    private @Nullable Runnable script;

    SimulatedTrouble(Random random) {
        this.random = random;
    }

    /** Something may strike during what comes next. */
    void arm(Kind kind) {
        if (armed != null) {
            return;
        }
        armed = kind;
        left = random.nextInt(random.nextInt(3) == 0 ? 60 : 12);
    }

    void disarm() {
        armed = null;
    }

    /** Has something happen just before a step, once. */
    void before(Step step, Runnable what) {
        awaited = step;
        script = what;
    }

    /** The process ends now. */
    KilledError kill() {
        dead = true;
        powerLost = false;
        return new KilledError();
    }

    /** A step is about to be taken. */
    void step(Step step) {
        Runnable what = script;
        if (step == awaited && what != null) {
            awaited = null;
            script = null;
            what.run();
        }
        var _ = at(Place.STEP);
    }

    /** A new process: the one before is gone for good. */
    void born() {
        dead = false;
        powerLost = false;
    }

    boolean dead() {
        return dead;
    }

    boolean powerLost() {
        return powerLost;
    }

    Map<Kind, Integer> struck() {
        return struck;
    }

    /** Does something to which nothing happens, even if the process is dead. */
    <T> T aside(Supplier<T> look) {
        Kind before = armed;
        boolean wasDead = dead;
        armed = null;
        dead = false;
        try {
            return look.get();
        } finally {
            armed = before;
            dead = wasDead;
        }
    }

    /** A call is made: returns what is wrong with it, or ends the process. */
    synchronized Optional<Kind> at(Place place) {
        if (dead) {
            throw new KilledError();
        }
        Kind kind = armed;
        if (kind == null || --left >= 0 || !strikes(kind, place)) {
            return Optional.empty();
        }
        armed = null;
        struck.merge(kind, 1, Integer::sum);
        if (kind == Kind.KILL || kind == Kind.POWER) {
            dead = true;
            powerLost = kind == Kind.POWER;
            throw new KilledError();
        }
        return Optional.of(kind);
    }

    private static boolean strikes(Kind kind, Place place) {
        return switch (kind) {
            case KILL, POWER -> true;
            case DISK_ERROR, DISK_FULL, SHORT_WRITE -> place == Place.DISK;
            case API_AWAY, API_ANSWER_LOST -> place == Place.API;
            case MONITOR_DEAF, QEMU_DIES -> place == Place.MONITOR;
        };
    }

    /** Returns what is wrong with a call to the disk. */
    Optional<SimulatedDisk.Fault> onDisk() {
        return at(Place.DISK).map(kind -> switch (kind) {
            case DISK_FULL -> SimulatedDisk.Fault.ENOSPC;
            case SHORT_WRITE -> SimulatedDisk.Fault.SHORT;
            default -> SimulatedDisk.Fault.EIO;
        });
    }
}
