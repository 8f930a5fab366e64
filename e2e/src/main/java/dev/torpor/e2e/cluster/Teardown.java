package dev.torpor.e2e.cluster;

import java.util.ArrayDeque;
import java.util.Deque;

/** What must be taken away in the end: all of it, the last one first, also after a failure in the middle. */
public final class Teardown implements AutoCloseable {
    private final String what;
    private final Deque<AutoCloseable> parts = new ArrayDeque<>();
    private final Thread atExit = new Thread(this::run, "teardown");

    /**
     * Creates one that also runs when the JVM is told to end.
     *
     * @param what for messages: what it takes away
     */
    public Teardown(String what) {
        this.what = what;
        Runtime.getRuntime().addShutdownHook(atExit);
    }

    /** Adds something that is there from now on, and returns it. */
    public synchronized <T extends AutoCloseable> T add(T part) {
        parts.push(part);
        return part;
    }

    /** Takes everything away. Idempotent. Throws an unchecked exception, at the end, if something stayed. */
    @Override
    public void close() {
        run();
        try {
            Runtime.getRuntime().removeShutdownHook(atExit);
        } catch (IllegalStateException e) {
            // The JVM is ending, and runs it.
        }
    }

    private synchronized void run() {
        IllegalStateException failure = null;
        while (!parts.isEmpty()) {
            try {
                parts.pop().close();
            } catch (Exception e) {
                if (failure == null) {
                    failure = new IllegalStateException(what + " was not taken away whole", e);
                } else {
                    failure.addSuppressed(e);
                }
            }
        }
        if (failure != null) {
            throw failure;
        }
    }
}
