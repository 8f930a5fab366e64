package dev.torpor.agent.engine;

/** Hears how far a save or a load is, some fifty times a second, on the thread that waits for QEMU; must not block. */
@FunctionalInterface
public interface ProgressListener {
    /**
     * Takes note of how far it is.
     *
     * @param doneBytes bytes of guest memory dealt with, zero pages included
     * @param totalBytes bytes of guest memory in all; 0 while unknown
     */
    void progress(long doneBytes, long totalBytes);
}
