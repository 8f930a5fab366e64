package dev.torpor.agent.work;

import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * QEMUs whose guest's memory came from a damaged image: they are not let run again, and not saved, as a new image of wrong
 * memory would look whole. Thread-safe.
 */
final class DamagedGuests {
    private final Map<ProcessIdentity, String> damaged = new ConcurrentHashMap<>();

    void add(ProcessIdentity process, String why) {
        damaged.put(process, why);
    }

    boolean contains(ProcessIdentity process) {
        return damaged.containsKey(process);
    }

    /**
     * Refuses such a QEMU.
     *
     * @throws TorporException ImageDamaged
     */
    void requireSound(ProcessIdentity process) throws TorporException {
        String why = damaged.get(process);
        if (why != null) {
            throw new TorporException(
                    FailureReason.ImageDamaged,
                    "the VM was resumed from a damaged image and stopped, and is not saved: " + why);
        }
    }
}
