package dev.torpor.agent.image;

import dev.torpor.agent.linux.Access;
import dev.torpor.agent.linux.AlignedBuffer;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.linux.ErrnoException;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Optional;
import java.util.UUID;
import org.jspecify.annotations.Nullable;

/**
 * The store's own files: {@code store.json}, which names it, and {@code store.lock}, whose lock its owner holds.
 *
 * @param directory the store
 * @param storeID the identity it got when it was made
 * @param lock held by the owner; null for who only looks
 */
record StoreRoot(
        Directory directory, String storeID, @Nullable Descriptor lock) implements AutoCloseable {
    private static final String CANNOT_BE_OPENED = "the image store cannot be opened";
    private static final String IDENTITY = "store.json";
    private static final String LOCK = "store.lock";
    private static final String PROBE = ".direct-io.probe";
    private static final String WRITABLE = "writable.probe";
    private static final int IDENTITY_BYTES_MAX = 4096;
    // images/<namespace>/<vm>, vms/<namespace>
    private static final int DIRECTORY_LEVELS = 3;
    private static final int ENTRIES_MAX = 100_000;

    /** Opens a store, making it if there is none, and locks it. */
    static StoreRoot own(Path path) throws TorporException {
        try {
            Files.createDirectories(
                    path, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
            return owned(Directory.open(path));
        } catch (IOException e) {
            throw StoreTrouble.of(CANNOT_BE_OPENED, e);
        }
    }

    /** Opens a store and locks it; makes one only where {@link ImageStore#REQUEST} asks for it, and is empty else. */
    static Optional<StoreRoot> ownExisting(Path path) throws TorporException {
        if (!Files.isDirectory(path)) {
            return Optional.empty();
        }
        try {
            Directory directory = Directory.open(path);
            boolean there = false;
            try {
                there = directory.facts(IDENTITY).isPresent()
                        || directory.facts(ImageStore.REQUEST).isPresent();
            } finally {
                if (!there) {
                    directory.close();
                }
            }
            return there ? Optional.of(owned(directory)) : Optional.empty();
        } catch (IOException e) {
            throw StoreTrouble.of(CANNOT_BE_OPENED, e);
        }
    }

    private static StoreRoot owned(Directory directory) throws IOException, TorporException {
        try {
            return own(directory);
        } catch (IOException | TorporException e) {
            directory.close();
            throw e;
        }
    }

    private static StoreRoot own(Directory directory) throws IOException, TorporException {
        Descriptor lock = lockFile(directory);
        try {
            if (!lock.tryLock()) {
                throw new TorporException(
                        FailureReason.StoreFailed,
                        "the image store belongs to another process, an agent for example: "
                                + "stop it, or use another store");
            }
            if (directory.facts(IDENTITY).isEmpty()) {
                directory.replaceFile(
                        IDENTITY,
                        SealedJson.seal(SealedJson.begin()
                                .put("storeID", UUID.randomUUID().toString())
                                .put(
                                        "created",
                                        Instant.now()
                                                .truncatedTo(ChronoUnit.SECONDS)
                                                .toString())));
            }
            StoreRoot root = new StoreRoot(directory, identity(directory), lock);
            // Done: a store that loses its identity later is not to become another one.
            var _ = directory.unlink(ImageStore.REQUEST);
            root.syncDirectories();
            return root;
        } catch (IOException | TorporException e) {
            lock.close();
            throw e;
        }
    }

    /** Opens an existing store for looking. */
    static StoreRoot look(Path path) throws TorporException {
        try {
            Directory directory = Directory.open(path);
            try {
                return new StoreRoot(directory, identity(directory), null);
            } catch (IOException e) {
                directory.close();
                throw e;
            }
        } catch (IOException e) {
            throw new TorporException(FailureReason.StoreFailed, "there is no image store at " + path, e);
        }
    }

    private static Descriptor lockFile(Directory directory) throws IOException {
        try {
            return directory.createFile(LOCK);
        } catch (ErrnoException e) {
            if (e.errno() != ErrnoException.EEXIST) {
                throw e;
            }
            return directory.openFile(LOCK, Access.READ_WRITE);
        }
    }

    private static String identity(Directory directory) throws IOException {
        JsonFields fields = JsonFields.of(SealedJson.open(directory.readFile(IDENTITY, IDENTITY_BYTES_MAX)));
        String id = fields.text("storeID", 63);
        if (!ImageId.isUid(id)) {
            throw fields.wrong("storeID", "a UID");
        }
        return id;
    }

    /**
     * Makes all names in the store durable. The owner before us may have died between a change and its flush: we would see
     * the change, tell others of it, and a power loss would take it back.
     */
    void syncDirectories() throws IOException {
        directory.syncTree(DIRECTORY_LEVELS, ENTRIES_MAX);
    }

    /** Writes and reads a block past the page cache; false if the file system refuses. */
    boolean probeDirectIO() throws IOException {
        directory.unlink(PROBE);
        directory.createFile(PROBE).close();
        try (Descriptor out = directory.openFile(PROBE, Access.WRITE_DIRECT);
                Descriptor in = directory.openFile(PROBE, Access.READ_DIRECT)) {
            ByteBuffer block = AlignedBuffer.allocate(AlignedBuffer.ALIGNMENT_BYTES);
            block.put(0, (byte) 1);
            out.write(block, 0);
            block.clear().put(0, (byte) 0);
            return in.read(block, 0) == AlignedBuffer.ALIGNMENT_BYTES && block.get(0) == 1;
        } catch (ErrnoException e) {
            if (e.errno() == ErrnoException.EINVAL) {
                return false;
            }
            throw e;
        } finally {
            directory.unlink(PROBE);
        }
    }

    /** Does what a record does: write, flush, rename, flush the directory. */
    void probeWritable() throws IOException {
        directory.replaceFile(WRITABLE, new byte[] {'1', '\n'});
        directory.unlink(WRITABLE);
    }

    @Override
    public void close() throws IOException {
        try (directory) {
            if (lock != null) {
                lock.close();
            }
        }
    }
}
