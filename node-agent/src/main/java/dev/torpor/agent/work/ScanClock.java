package dev.torpor.agent.work;

import java.util.concurrent.locks.LockSupport;

/** The time that a look at pages takes and waits for; tests give one in which none passes by itself. */
interface ScanClock {
    /** That of the machine. */
    ScanClock SYSTEM = new ScanClock() {
        @Override
        public long nanoTime() {
            return System.nanoTime();
        }

        @Override
        public void pause(long nanos) {
            LockSupport.parkNanos(nanos);
        }
    };

    /** Returns the time since some moment, as {@link System#nanoTime} does. */
    long nanoTime();

    /** Waits; not at all for nothing or less, and shorter if the thread is interrupted. */
    void pause(long nanos);
}
