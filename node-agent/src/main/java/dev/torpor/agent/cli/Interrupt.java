package dev.torpor.agent.cli;

import dev.torpor.agent.engine.Cancellation;
import dev.torpor.failure.FailureReason;
import java.util.concurrent.CountDownLatch;

/**
 * Turns Ctrl-C (and any other signal that ends the JVM) into a cancellation, and keeps the JVM until what was begun is
 * undone: a guest must not stay paused because its saver was in a hurry.
 */
final class Interrupt implements AutoCloseable {
    private final Cancellation cancellation = new Cancellation();
    private final CountDownLatch undone = new CountDownLatch(1);
    private final Thread hook = new Thread(this::interrupted, "interrupt");

    Interrupt() {
        Runtime.getRuntime().addShutdownHook(hook);
    }

    Cancellation cancellation() {
        return cancellation;
    }

    private void interrupted() {
        System.err.println("torpor-agent: interrupted: waiting for QEMU to finish, then undoing");
        cancellation.request(FailureReason.Cancelled, "interrupted");
        try {
            undone.await();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    @Override
    public void close() {
        if (!cancellation.requested()) {
            try {
                Runtime.getRuntime().removeShutdownHook(hook);
            } catch (IllegalStateException e) {
                // The JVM is ending already: the hook runs, and goes on at once.
            }
        }
        undone.countDown();
    }
}
