package dev.torpor.agent.qmp;

import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/**
 * Waits for a QEMU that was just told to start, by trying to connect. The first tries follow each other closely, as the
 * guest waits for them; each pause is a small part of the time that has passed, so that a QEMU that takes long is not
 * looked at more often than that is worth, and is found at most 3 % late.
 */
public final class SocketWait {
    private static final long PAUSE_NANOS_MIN = TimeUnit.MILLISECONDS.toNanos(1);
    private static final int PART = 32;

    private SocketWait() {}

    /** A try to connect; SocketMissing means that it may come. */
    @FunctionalInterface
    public interface Try<T> {
        /** Connects. */
        T connect() throws TorporException;
    }

    /**
     * Tries until it is connected, or the time is over.
     *
     * @param atMost zero or less: one try
     * @throws TorporException what the last try said; at once if that is anything but SocketMissing, or if the thread is
     *     interrupted
     */
    public static <T> T connect(Duration atMost, Try<T> attempt) throws TorporException {
        long began = System.nanoTime();
        while (true) {
            try {
                return attempt.connect();
            } catch (TorporException e) {
                long passed = System.nanoTime() - began;
                if (e.reason() != FailureReason.SocketMissing
                        || passed >= atMost.toNanos()
                        || Thread.currentThread().isInterrupted()) {
                    throw e;
                }
                LockSupport.parkNanos(Math.max(PAUSE_NANOS_MIN, passed / PART));
            }
        }
    }
}
