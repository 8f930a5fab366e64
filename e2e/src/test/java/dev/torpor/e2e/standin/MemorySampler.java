package dev.torpor.e2e.standin;

import java.io.IOException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;

/** Looks at a process's anonymous memory all the time. */
final class MemorySampler implements AutoCloseable {
    private static final int BETWEEN_LOOKS_MILLIS = 5;

    private final AtomicBoolean ended = new AtomicBoolean();
    private final AtomicLong most = new AtomicLong();
    private final Thread thread;

    MemorySampler(long pid) {
        thread = Thread.ofPlatform().daemon().name("sampler").start(() -> {
            try {
                while (!ended.get()) {
                    most.accumulateAndGet(ProcessFigures.of(pid).anonymousBytes(), Math::max);
                    Thread.sleep(BETWEEN_LOOKS_MILLIS);
                }
            } catch (IOException | InterruptedException e) {
                throw new IllegalStateException(e);
            }
        });
    }

    /** Returns the most that was seen. */
    long mostBytes() {
        return most.get();
    }

    @Override
    public void close() {
        ended.set(true);
        try {
            thread.join();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
