package dev.torpor.e2e.cluster;

import java.util.concurrent.TimeUnit;

/** A short wait between two looks at something that nobody tells us about. */
final class Pause {
    private Pause() {}

    static void milliseconds(long length) {
        try {
            TimeUnit.MILLISECONDS.sleep(length);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted", e);
        }
    }
}
