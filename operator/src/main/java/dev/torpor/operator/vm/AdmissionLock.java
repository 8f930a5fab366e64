package dev.torpor.operator.vm;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;

/**
 * Lets one admission of a namespace run at a time, from the reads that it rests on to the write of its outcome. Shared
 * by both controllers. A namespace is coarse, but an admission takes milliseconds.
 */
public final class AdmissionLock {
    private final Map<String, ReentrantLock> locks = new ConcurrentHashMap<>();

    /** Runs an admission while no other of the namespace runs. */
    public <T> T hold(String namespace, Supplier<T> admission) {
        ReentrantLock lock = locks.computeIfAbsent(namespace, key -> new ReentrantLock());
        lock.lock();
        try {
            return admission.get();
        } finally {
            lock.unlock();
        }
    }
}
