package dev.torpor.agent.image;

import dev.torpor.agent.linux.Directory;
import dev.torpor.failure.TorporException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * The images of one node, below one directory that belongs to one agent at a time:
 * {@code images/<namespace>/<vm>/<uid>.img} and {@code .json}. Directories have mode 0700, files 0600; everything is
 * reached beneath directory descriptors without following links. Methods block on the disk; safe for several threads.
 *
 * <p>Trouble with the file system is {@code StoreFailed}.
 */
@SuppressWarnings("DoNotCallSuggester")
public final class ImageStore implements AutoCloseable {
    static final String IMAGES = "images";
    static final String FILE_SUFFIX = ".img";
    static final String RECORD_SUFFIX = ".json";

    private ImageStore() {}

    /**
     * Opens a store as its owner, making it if there is none, and keeps it locked until closed.
     *
     * @throws TorporException StoreFailed if another process owns it
     */
    public static ImageStore open(Path path) throws TorporException {
        throw new UnsupportedOperationException(path.toString());
    }

    /**
     * Opens an existing store for looking only, beside its owner: nothing can be created or changed.
     *
     * @throws TorporException StoreFailed if there is no store
     */
    public static ImageStore openReadOnly(Path path) throws TorporException {
        throw new UnsupportedOperationException(path.toString());
    }

    /** Returns the identity that the store got when it was made. */
    public String storeID() {
        throw new UnsupportedOperationException();
    }

    /** Returns the bytes that may still be written. */
    public long freeBytes() throws TorporException {
        throw new UnsupportedOperationException();
    }

    /** Tells whether the store's file system has direct I/O, found out by doing it once. */
    public boolean directIO() throws TorporException {
        throw new UnsupportedOperationException();
    }

    /** Returns the open directory of the store, for what others keep in it; closed with the store. */
    public Directory directory() {
        throw new UnsupportedOperationException();
    }

    /**
     * Begins an image: records the intent durably, then creates the empty file.
     *
     * @throws TorporException StoreFailed if there is an image of this identity already
     */
    public PartialImage create(ImageId id, PartialIntent intent) throws TorporException {
        throw new UnsupportedOperationException(id + " " + intent);
    }

    /** Takes up an image that is Partial, to commit or abandon it after a restart; empty if there is none. */
    public Optional<PartialImage> partial(ImageId id) throws TorporException {
        throw new UnsupportedOperationException(id.toString());
    }

    /**
     * Opens a committed image after comparing everything but its pages with what was recorded: size, header, stream
     * headers, bitmaps, device state.
     *
     * @throws TorporException ImageMissing, ImageIncomplete, ImageTruncated, ImageDamaged, ImageFormatTooNew
     */
    public CommittedImage open(ImageId id) throws TorporException {
        throw new UnsupportedOperationException(id.toString());
    }

    /** Returns an image's record; empty if there is none. */
    public Optional<ImageRecord> record(ImageId id) throws TorporException {
        throw new UnsupportedOperationException(id.toString());
    }

    /** Returns an image's state; empty if there is no such image. */
    public Optional<ImageState> state(ImageId id) throws TorporException {
        return record(id).map(ImageRecord::state);
    }

    /** Returns the records of all images, sorted by identity; those of one VM stand together. */
    public List<ImageRecord> list() throws TorporException {
        throw new UnsupportedOperationException();
    }

    /** Returns the records of the images of one VM. */
    public List<ImageRecord> list(String namespace, String vm) throws TorporException {
        throw new UnsupportedOperationException(namespace + vm);
    }

    /**
     * Records a new state durably; the state that it has already is fine. {@code Consumed} removes the file as well, once
     * recorded.
     *
     * @throws IllegalStateException if the image may not go there from where it is
     * @throws TorporException ImageMissing if there is no such image
     */
    public void transition(ImageId id, ImageState next) throws TorporException {
        throw new UnsupportedOperationException(id + " " + next);
    }

    /** Removes an image's file and record for good, in whatever state it is; nothing if there is none. */
    public void delete(ImageId id) throws TorporException {
        throw new UnsupportedOperationException(id.toString());
    }

    @Override
    public void close() {
        throw new UnsupportedOperationException();
    }
}
