package dev.torpor.agent.image;

/** Hears how far a check of a whole image is. */
@FunctionalInterface
public interface ImageProgress {
    /** Called now and then, on the checking thread, with bytes read so far and in all. */
    void progress(long doneBytes, long totalBytes);
}
