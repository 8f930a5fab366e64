package dev.torpor.agent.image;

import dev.torpor.failure.TorporException;

/** An image whose file was found to be what was committed (all but its pages, which {@link #verify} reads). */
@SuppressWarnings("DoNotCallSuggester")
public final class CommittedImage {
    CommittedImage() {}

    /** Returns which image. */
    public ImageId id() {
        return header().id();
    }

    /** Returns what the image says of itself. */
    public ImageHeader header() {
        throw new UnsupportedOperationException();
    }

    /** Returns where things are in the file. */
    public ImageLayout layout() {
        throw new UnsupportedOperationException();
    }

    /** Returns the state that the image was in when it was opened. */
    public ImageState state() {
        throw new UnsupportedOperationException();
    }

    /** Returns the length of the file, holes included. */
    public long sizeBytes() {
        throw new UnsupportedOperationException();
    }

    /** Returns the bytes that the file occupies on disk. */
    public long allocatedBytes() {
        throw new UnsupportedOperationException();
    }

    /** Returns the version of the format that the file is in. */
    public int formatVersion() {
        throw new UnsupportedOperationException();
    }

    /**
     * Refuses an image that must not be resumed (any more).
     *
     * @throws TorporException SnapshotUnusable, saying why
     */
    public void requireRestorable() throws TorporException {
        throw new UnsupportedOperationException();
    }

    /**
     * Opens the file for QEMU to read: read-only, and a second time with O_DIRECT if asked for.
     *
     * @throws TorporException ImageMissing if it was removed since
     */
    public ImageFiles openForQemu(boolean directIO) throws TorporException {
        throw new UnsupportedOperationException("" + directIO);
    }

    /**
     * Reads every page that is in the file, past the page cache where that is possible.
     *
     * @return bytes of pages read
     * @throws TorporException ImageDamaged if the disk cannot read one back
     */
    public long verify(ImageProgress progress) throws TorporException {
        throw new UnsupportedOperationException(progress.toString());
    }
}
