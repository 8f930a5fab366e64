package dev.torpor.agent.qmp;

import java.util.concurrent.TimeUnit;

/**
 * Memory for what peers send, shared by all connections of the process: each peer alone is held to {@link QmpLimits}, and what many of
 * them may send together would still be more than an agent has. Each has a reserve of his own, whatever others send; who needs
 * more than that, and than is left for all, waits for others to have done with theirs. Thread-safe.
 */
final class MessageRoom {
    /** A third of the agent's heap. Honest answers that are asked for together cost some 2 MiB, those of the largest VMs. */
    static final MessageRoom OF_PROCESS = new MessageRoom(16 << 20, 8 << 20, 256 << 10);

    private final long shareBytesMax;
    private final long reserveBytes;
    private long leftBytes;

    /**
     * Makes room.
     *
     * @param bytes for all, beside their reserves
     * @param shareBytesMax for one, his reserve included
     * @param reserveBytes what each has for himself: enough for a usual VM's answers to a probe
     */
    MessageRoom(long bytes, long shareBytesMax, long reserveBytes) {
        this.reserveBytes = reserveBytes;
        this.leftBytes = bytes;
        this.shareBytesMax = shareBytesMax;
    }

    /** What came of asking for more. */
    enum Outcome {
        TAKEN,
        /** More than one may have. */
        TOO_MUCH,
        /** Others had it all the time. */
        CROWDED,
        /** The thread was interrupted, and still is. */
        INTERRUPTED
    }

    /** What one connection has of it. For one thread at a time. */
    final class Share {
        private long bytes;

        /**
         * Takes more, and waits for it until a moment of {@link System#nanoTime}.
         *
         * @param more 0 or more
         */
        Outcome take(long more, long endNanos) {
            synchronized (MessageRoom.this) {
                if (bytes + more > shareBytesMax) {
                    return Outcome.TOO_MUCH;
                }
                long common = common(bytes + more) - common(bytes);
                while (leftBytes < common) {
                    long waitMillis = TimeUnit.NANOSECONDS.toMillis(endNanos - System.nanoTime());
                    if (waitMillis <= 0) {
                        return Outcome.CROWDED;
                    }
                    try {
                        MessageRoom.this.wait(waitMillis);
                    } catch (InterruptedException e) {
                        Thread.currentThread().interrupt();
                        return Outcome.INTERRUPTED;
                    }
                }
                leftBytes -= common;
                bytes += more;
                return Outcome.TAKEN;
            }
        }

        /** Gives some back. */
        void giveBack(long some) {
            synchronized (MessageRoom.this) {
                leftBytes += common(bytes) - common(bytes - some);
                bytes -= some;
                MessageRoom.this.notifyAll();
            }
        }
    }

    /** Returns what of a share is not in its reserve. */
    private long common(long shareBytes) {
        return Math.max(0, shareBytes - reserveBytes);
    }

    Share share() {
        return new Share();
    }

    synchronized long leftBytes() {
        return leftBytes;
    }
}
