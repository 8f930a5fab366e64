package dev.torpor.agent.image;

/** Hears how far a check of a whole image is. */
@FunctionalInterface
public interface ImageProgress {
    /** Called after each chunk of a MiB that was read, on the checking thread, with how far it is and the whole. */
    void progress(long doneBytes, long totalBytes);
}
