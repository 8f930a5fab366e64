package dev.torpor.agent.image;

import dev.torpor.failure.TorporException;

/** An image that is being written: either committed or abandoned. */
@SuppressWarnings("DoNotCallSuggester")
public final class PartialImage {
    PartialImage() {}

    /** Returns which image. */
    public ImageId id() {
        throw new UnsupportedOperationException();
    }

    /** Returns what was recorded when it was begun. */
    public PartialIntent intent() {
        throw new UnsupportedOperationException();
    }

    /**
     * Opens the file for QEMU to write: write-only, and a second time with O_DIRECT if asked for.
     *
     * @param directIO only where {@link ImageStore#directIO}
     */
    public ImageFiles openForQemu(boolean directIO) throws TorporException {
        throw new UnsupportedOperationException("" + directIO);
    }

    /**
     * Commits: proves that nobody has the file open for writing, checks the stream against what QEMU said, writes the
     * header, flushes the file, records Complete and flushes the directory. When this returns, the image survives a power
     * loss. When it throws, the image is to be abandoned, and the guest to be continued.
     *
     * @param header what the image says of itself
     * @param normalPages pages that QEMU says it wrote ({@code ram.normal} of query-migrate)
     * @throws TorporException ImageCheckFailed, StoreFailed
     */
    public CommittedImage commit(ImageHeader header, long normalPages) throws TorporException {
        throw new UnsupportedOperationException(header.toString() + normalPages);
    }

    /** Removes file and record durably; may be repeated. QEMU must have let go of the file, or its space stays taken. */
    public void abandon() throws TorporException {
        throw new UnsupportedOperationException();
    }
}
