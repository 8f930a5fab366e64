package dev.torpor.agent.image;

import dev.torpor.agent.linux.Access;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.linux.FileFacts;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The images of one node, below one directory that belongs to one agent at a time:
 * {@code images/<namespace>/<vm>/<uid>.img} and {@code .json}. Directories have mode 0700, files 0600; everything is
 * reached beneath directory descriptors without following links. Methods block on the disk; safe for several threads.
 *
 * <p>Trouble with the file system is {@code StoreFailed}, or {@code NotEnoughSpace}.
 */
public final class ImageStore implements AutoCloseable {
    static final String IMAGES = "images";
    static final String FILE_SUFFIX = ".img";
    static final String RECORD_SUFFIX = ".json";
    static final String CHECKSUMS_SUFFIX = ".crc";
    static final String DAMAGE_SUFFIX = ".damaged";
    static final String SHADOW_SUFFIX = ".shadow";
    static final String PLAN_SUFFIX = ".ahead";
    private static final String IMPORT_SUFFIX = ".import";

    /**
     * Name of an empty file that asks for a store in its directory ({@link #openExisting}); whoever has a new disk for the
     * store makes it there.
     */
    public static final String REQUEST = "create-store";

    /** Room for what is written beside the pages: header area, bitmaps, device state, padding to 1 MiB for each block. */
    public static final long SPACE_BESIDE_BYTES = 64L << 20;

    private static final Logger LOG = LoggerFactory.getLogger(ImageStore.class);
    private static final int ENTRIES_MAX = 100_000;

    private final StoreRoot root;
    private final Step.Observer observer;
    private Optional<Boolean> directIO = Optional.empty();
    /** What images that are being written may need, all in all. */
    private final Map<ImageId, Long> reserved = new HashMap<>();
    /** What is on the disk beside the record in force; the last one only. */
    private Optional<ImageRecord> prepared = Optional.empty();
    /** Whether a change failed that may be seen here, and not be on the disk. */
    private volatile boolean doubtful;
    /** Whose records are being changed, or were and are not flushed: who reads one of these waits for that. */
    private final Set<ImageId> unflushed = ConcurrentHashMap.newKeySet();

    private ImageStore(StoreRoot root, Step.Observer observer) {
        this.root = root;
        this.observer = observer;
    }

    /**
     * Opens a store as its owner, making it if there is none, and keeps it locked until closed.
     *
     * @throws TorporException StoreFailed if another process owns it
     */
    public static ImageStore open(Path path) throws TorporException {
        return open(path, _ -> {});
    }

    /**
     * Does the same if there is a store, or if the file {@link #REQUEST} in its directory asks for one; makes nothing else,
     * and is empty. For stores on disks of their own: below a disk that is not mounted there is a directory, too.
     *
     * @throws TorporException StoreFailed if another process owns it
     */
    public static Optional<ImageStore> openExisting(Path path) throws TorporException {
        return StoreRoot.ownExisting(path).map(root -> new ImageStore(root, _ -> {}));
    }

    static ImageStore open(Path path, Step.Observer observer) throws TorporException {
        return new ImageStore(StoreRoot.own(path), observer);
    }

    /**
     * Opens an existing store for looking only, beside its owner: {@link #open(ImageId)}, {@link #record}, {@link #list}.
     *
     * @throws TorporException StoreFailed if there is no store
     */
    public static ImageStore openReadOnly(Path path) throws TorporException {
        return new ImageStore(StoreRoot.look(path), _ -> {});
    }

    /** Returns the identity that the store got when it was made. */
    public String storeID() {
        return root.storeID();
    }

    /** Returns the bytes that may still be written. */
    public long freeBytes() throws TorporException {
        try {
            return root.directory().freeBytes();
        } catch (IOException e) {
            throw StoreTrouble.of("the store's free space cannot be read", e);
        }
    }

    /**
     * Refuses what does not fit.
     *
     * @param imageBytes of an image, as far as they are known
     * @throws TorporException NotEnoughSpace if so much, and {@link #SPACE_BESIDE_BYTES}, is not free
     */
    public void requireRoom(long imageBytes) throws TorporException {
        requireRoom(imageBytes, freeBytes());
    }

    /** Does the same with what was free at another time. */
    public static void requireRoom(long imageBytes, long freeBytes) throws TorporException {
        long neededBytes = imageBytes + SPACE_BESIDE_BYTES;
        if (freeBytes < neededBytes) {
            throw new TorporException(
                    FailureReason.NotEnoughSpace,
                    "the image may need " + neededBytes + " bytes and the store has " + freeBytes
                            + " free: delete images that are no longer needed, or enlarge the store");
        }
    }

    /** Room that an image has for itself until this is closed. */
    public interface Room extends AutoCloseable {
        @Override
        void close();
    }

    /**
     * Sets room aside for an image that is about to be written, so that another one does not count on the same.
     *
     * @param imageBytes of it, as far as they are known
     * @throws TorporException NotEnoughSpace if so much, and {@link #SPACE_BESIDE_BYTES}, is not free, or is set aside for
     *     images that are being written
     */
    public synchronized Room reserve(ImageId id, long imageBytes) throws TorporException {
        long freeBytes = freeBytes();
        requireRoom(imageBytes, freeBytes);
        long neededBytes = imageBytes + SPACE_BESIDE_BYTES;
        long promisedBytes = promisedBytes();
        if (freeBytes - promisedBytes < neededBytes) {
            throw new TorporException(
                    FailureReason.NotEnoughSpace,
                    "the image may need " + neededBytes + " bytes, and of the " + freeBytes
                            + " that the store has free, saves under way may need " + promisedBytes
                            + ": it is tried again when they are done");
        }
        reserved.put(id, neededBytes);
        return () -> release(id);
    }

    /** Tells whether room is set aside for any image. */
    public synchronized boolean hasReserved() {
        return !reserved.isEmpty();
    }

    private synchronized void release(ImageId id) {
        reserved.remove(id);
    }

    /** What images that are being written may still need. */
    private long promisedBytes() throws TorporException {
        long bytes = 0;
        for (Map.Entry<ImageId, Long> other : reserved.entrySet()) {
            bytes += Math.max(0, other.getValue() - allocatedBytes(other.getKey()));
        }
        return bytes;
    }

    /** Returns the bytes of the store's file system, those in use too. */
    public long sizeBytes() throws TorporException {
        try {
            return root.directory().totalBytes();
        } catch (IOException e) {
            throw StoreTrouble.of("the store's size cannot be read", e);
        }
    }

    /**
     * Writes a small file, flushes it and removes it. For one caller at a time; a disk that hangs keeps nobody else waiting.
     *
     * @throws TorporException StoreFailed or NotEnoughSpace if the store cannot be written
     */
    public void probeWritable() throws TorporException {
        requireOwner();
        try {
            root.probeWritable();
        } catch (IOException e) {
            throw StoreTrouble.of("the store cannot be written", e);
        }
    }

    /** Returns the bytes that an image's file occupies on the disk; 0 if it has none. */
    public long allocatedBytes(ImageId id) throws TorporException {
        try (Directory folder = folder(id)) {
            return folder.facts(id.fileName()).map(FileFacts::allocatedBytes).orElse(0L);
        } catch (IOException e) {
            if (StoreTrouble.missing(e)) {
                return 0;
            }
            throw StoreTrouble.of("image " + id + " cannot be looked at", e);
        }
    }

    /** Tells whether the store's file system has direct I/O, found out by doing it once. */
    public synchronized boolean directIO() throws TorporException {
        if (directIO.isEmpty()) {
            requireOwner();
            try {
                directIO = Optional.of(root.probeDirectIO());
            } catch (IOException e) {
                throw StoreTrouble.of("the store cannot be written", e);
            }
        }
        return directIO.get();
    }

    /** Returns the open directory of the store, for what others keep in it; closed with the store. */
    public Directory directory() {
        return root.directory();
    }

    /**
     * Begins an image: records the intent durably, then creates the empty file.
     *
     * @throws TorporException StoreFailed if there is an image of this identity already
     */
    public synchronized PartialImage create(ImageId id, PartialIntent intent) throws TorporException {
        requireOwner();
        ImageRecord record = new ImageRecord(id, intent, Optional.empty(), new ImageState.Partial());
        try (Directory images = root.directory().childCreating(IMAGES);
                Directory namespace = images.childCreating(id.namespace());
                Directory folder = namespace.childCreating(id.vm())) {
            if (folder.facts(id.recordName()).isPresent()
                    || folder.facts(id.fileName()).isPresent()) {
                throw new TorporException(
                        FailureReason.StoreFailed, "there is an image " + id + " already; it is not overwritten");
            }
            unflushed.add(id);
            folder.replaceFile(id.recordName(), RecordJson.encode(record));
            observer.done(Step.RECORDED_PARTIAL);
            folder.createFile(id.fileName()).close();
            folder.sync();
            unflushed.remove(id);
            observer.done(Step.FILE_CREATED);
            return new PartialImage(this, record, observer);
        } catch (IOException e) {
            throw failed("image " + id + " cannot be created", e);
        }
    }

    /**
     * Takes the turn to add images of a VM beside the owner; closing it, or the end of this process, gives it back. The lock
     * is on the VM's folder. A pod that is shown that folder could hold it too: it keeps out nothing but images of its own VM.
     *
     * @throws TorporException StoreFailed if somebody else has it
     */
    public Directory turnToAdd(ImageId id) throws TorporException {
        try (Directory images = root.directory().childCreating(IMAGES);
                Directory namespace = images.childCreating(id.namespace())) {
            Directory folder = namespace.childCreating(id.vm());
            boolean ours = false;
            try {
                ours = folder.tryLock();
            } finally {
                if (!ours) {
                    folder.close();
                }
            }
            if (ours) {
                return folder;
            }
            throw new TorporException(
                    FailureReason.StoreFailed,
                    "another import of VM " + id.namespace() + "/" + id.vm()
                            + " is under way: try again when it has ended");
        } catch (IOException e) {
            throw StoreTrouble.of("the folder of VM " + id.namespace() + "/" + id.vm() + " cannot be locked", e);
        }
    }

    /**
     * Begins an image that is added whole, beside the owner, who may be at work: it has a name that nobody looks at until it
     * is committed, and no record. Commit gives it its name, then its record. What a crash leaves behind is a file
     * {@code .<uid>.img.import}, which the next import of the same VM removes. Only for who has {@link #turnToAdd}.
     */
    public PartialImage createBeside(ImageId id, PartialIntent intent) throws TorporException {
        ImageRecord record = new ImageRecord(id, intent, Optional.empty(), new ImageState.Partial());
        String fileName = "." + id.fileName() + IMPORT_SUFFIX;
        try (Directory images = root.directory().childCreating(IMAGES);
                Directory namespace = images.childCreating(id.namespace());
                Directory folder = namespace.childCreating(id.vm())) {
            for (String name : folder.list(ENTRIES_MAX)) {
                if (name.startsWith(".") && name.endsWith(IMPORT_SUFFIX)) {
                    var _ = folder.unlink(name);
                }
            }
            folder.createFile(fileName).close();
            return new PartialImage(this, record, observer, fileName);
        } catch (IOException e) {
            throw failed("image " + id + " cannot be created", e);
        }
    }

    /** Takes up an image that is Partial, to commit or abandon it after a restart; empty if there is none. */
    public Optional<PartialImage> partial(ImageId id) throws TorporException {
        requireOwner();
        return record(id)
                .filter(record -> record.state() instanceof ImageState.Partial)
                .map(record -> new PartialImage(this, record, observer));
    }

    /**
     * Opens a committed image after comparing everything but its pages with what was recorded: size, header, stream
     * headers, bitmaps, device state. Whether it may be resumed is for {@link CommittedImage#requireRestorable} to say.
     *
     * @throws TorporException ImageMissing, ImageIncomplete, ImageTruncated, ImageDamaged, ImageFormatTooNew
     */
    public CommittedImage open(ImageId id) throws TorporException {
        ImageRecord record = record(id).orElseThrow(() -> missing(id));
        return CommittedImage.open(() -> folder(id), id.fileName(), Optional.of(record));
    }

    /**
     * Sees to it that what is read here is on the disk too, if a change failed before: others would act on it, and a power
     * loss would take it back.
     *
     * @throws TorporException StoreFailed while that does not work
     */
    private synchronized void settle() throws TorporException {
        if (doubtful) {
            try {
                root.syncDirectories();
            } catch (IOException e) {
                throw StoreTrouble.of("what was last written to the store may not be on its disk", e);
            }
            doubtful = false;
            unflushed.clear();
        }
    }

    private synchronized void settle(ImageId id) throws TorporException {
        settle();
        if (unflushed.contains(id)) {
            flush(id);
        }
    }

    private synchronized TorporException failed(String what, IOException e) {
        doubtful = true;
        return StoreTrouble.of(what, e);
    }

    /**
     * Returns an image's record; empty if there is none. Waits for no other image's flush, which may hang.
     *
     * @throws TorporException ImageDamaged, ImageFormatTooNew if it cannot be read; StoreFailed
     */
    public Optional<ImageRecord> record(ImageId id) throws TorporException {
        Optional<ImageRecord> seen = seen(id);
        if (!doubtful && !unflushed.contains(id)) { // whoever changes it says so before
            return seen;
        }
        synchronized (this) {
            settle(id);
            return seen(id);
        }
    }

    private Optional<ImageRecord> seen(ImageId id) throws TorporException {
        try (Directory folder = folder(id)) {
            return record(folder, id);
        } catch (IOException e) {
            if (StoreTrouble.missing(e)) {
                return Optional.empty();
            }
            throw StoreTrouble.of("the record of image " + id + " cannot be read", e);
        }
    }

    private static Optional<ImageRecord> record(Directory folder, ImageId id) throws IOException, TorporException {
        if (folder.facts(id.recordName()).isEmpty()) {
            return Optional.empty();
        }
        byte[] json = folder.readFile(id.recordName(), RecordJson.BYTES_MAX);
        try {
            return Optional.of(RecordJson.decode(json, id));
        } catch (NewerVersionException e) {
            throw new TorporException(
                    FailureReason.ImageFormatTooNew,
                    "the record of image " + id + " was written by a newer release: " + e.why());
        } catch (MalformedImageException e) {
            throw new TorporException(
                    FailureReason.ImageDamaged, "the record of image " + id + " is damaged: " + e.why());
        }
    }

    /** Returns an image's state; empty if there is no such image. */
    public Optional<ImageState> state(ImageId id) throws TorporException {
        return record(id).map(ImageRecord::state);
    }

    /**
     * Returns the records of all images, sorted by identity; those of one VM stand together. A record that cannot be read
     * is left out, and logged.
     */
    public List<ImageRecord> list() throws TorporException {
        return list(_ -> {});
    }

    /** Does the same. {@code unreadable} hears of the images whose records cannot be read. */
    public List<ImageRecord> list(Consumer<ImageId> unreadable) throws TorporException {
        List<ImageRecord> records = new ArrayList<>();
        for (String namespace : names()) {
            for (String vm : names(namespace)) {
                for (ImageId id : ids(namespace, vm)) {
                    try {
                        record(id).ifPresent(records::add);
                    } catch (TorporException e) {
                        LOG.warn("image left out of the list", e);
                        unreadable.accept(id);
                    }
                }
            }
        }
        return records;
    }

    /**
     * Returns the records of the images of one VM, sorted by UID.
     *
     * @throws TorporException ImageDamaged if one of them cannot be read: what waits must not be overlooked
     */
    public List<ImageRecord> list(String namespace, String vm) throws TorporException {
        List<ImageRecord> records = new ArrayList<>();
        for (ImageId id : ids(namespace, vm)) {
            record(id).ifPresent(records::add);
        }
        return records;
    }

    /**
     * Returns what was begun for a VM and not ended. A record of it that is damaged, or of a newer release, is left out: what
     * was begun has one that this release wrote.
     */
    public List<ImageRecord> begun(String namespace, String vm) throws TorporException {
        return readable(namespace, vm).stream()
                .filter(record -> record.state() instanceof ImageState.Partial)
                .toList();
    }

    /** Returns the records of the images of one VM, but those that are damaged, or of a newer release. */
    public List<ImageRecord> readable(String namespace, String vm) throws TorporException {
        List<ImageRecord> records = new ArrayList<>();
        for (ImageId id : ids(namespace, vm)) {
            try {
                record(id).ifPresent(records::add);
            } catch (TorporException e) {
                if (!e.reason().isOfImage()) {
                    throw e;
                }
                LOG.debug("image {}", id, e);
            }
        }
        return records;
    }

    private List<ImageId> ids(String namespace, String vm) throws TorporException {
        List<ImageId> ids = new ArrayList<>();
        for (String name : names(namespace, vm)) {
            String uid = name.endsWith(RECORD_SUFFIX) ? name.substring(0, name.length() - RECORD_SUFFIX.length()) : "";
            if (ImageId.isUid(uid)) {
                ids.add(new ImageId(namespace, vm, uid));
            }
        }
        return ids;
    }

    /** Returns the entries of a directory below that of the images, sorted; those that cannot be names of ours not. */
    private List<String> names(String... path) throws TorporException {
        if (doubtful) {
            settle();
        }
        try {
            Directory folder = root.directory().child(IMAGES);
            for (String name : path) {
                try (Directory parent = folder) {
                    folder = parent.child(name);
                }
            }
            try (Directory last = folder) {
                return last.list(ENTRIES_MAX).stream()
                        .filter(ImageId::isEntry)
                        .sorted()
                        .toList();
            }
        } catch (IOException e) {
            if (StoreTrouble.missing(e)) {
                return List.of();
            }
            throw StoreTrouble.of("the store cannot be listed", e);
        }
    }

    /**
     * Records a new state durably; the state that it has already is fine. {@code Consumed} removes the file as well, once
     * recorded.
     *
     * @throws IllegalStateException if the image may not go there from where it is
     * @throws TorporException ImageMissing if there is no such image
     */
    public synchronized void transition(ImageId id, ImageState next) throws TorporException {
        if (transitionUnflushed(id, next)) {
            flush(id);
        }
        if (next instanceof ImageState.Consumed) {
            try (Directory folder = folder(id)) {
                removeFiles(folder, id);
            } catch (IOException e) {
                throw StoreTrouble.of("image " + id + " cannot be removed", e);
            }
        }
    }

    /**
     * Records a new state like {@link #transition}, but it is on the disk only after {@link #flush}: for a caller who changes
     * something else too, and then has both flushed, as one flush of a file system's journal takes about as long as two.
     *
     * @return whether it had another state before
     */
    public synchronized boolean transitionUnflushed(ImageId id, ImageState next) throws TorporException {
        requireOwner();
        ImageRecord record = record(id).orElseThrow(() -> missing(id));
        if (!record.state().mayBecome(next, record.intent().mode())) {
            throw new IllegalStateException(
                    "image " + id + " is " + record.state().word() + " and cannot become " + next.word());
        }
        if (record.state().equals(next)) {
            return false;
        }
        unflushed.add(id);
        try (Directory folder = folder(id)) {
            replaceUnflushed(folder, record.with(next));
        } catch (IOException e) {
            throw failed("image " + id + " cannot be recorded as " + next.word(), e);
        }
        return true;
    }

    /** Has what was recorded of an image on the disk; if that fails, nothing is read here until it is. */
    public synchronized void flush(ImageId id) throws TorporException {
        try (Directory folder = folder(id)) {
            folder.sync();
        } catch (IOException e) {
            throw failed("the record of image " + id + " cannot be flushed", e);
        }
        unflushed.remove(id);
    }

    /**
     * Reads every page of an image that is Complete, puts a table of their checksums beside it, durably, and records it as
     * Verified. What becomes of the image meanwhile counts more: one that is Complete no more is left as it is, and a table
     * is then left out. Takes as long as the disk takes to read it; may be ended by the progress' throwing.
     *
     * @return whether it is Verified now
     * @throws TorporException ImageDamaged, ImageTruncated if it cannot be read back; what {@link #open(ImageId)} throws
     */
    public boolean verify(ImageId id, ImageProgress progress) throws TorporException {
        requireOwner();
        CommittedImage image = open(id);
        ChunkTable table = image.checksums(progress);
        synchronized (this) {
            ImageRecord record = record(id).orElseThrow(() -> missing(id));
            if (!(record.state() instanceof ImageState.Complete)) {
                return record.state() instanceof ImageState.Verified;
            }
            try (Directory folder = folder(id)) {
                folder.replaceFile(id.checksumsName(), table.encode());
            } catch (IOException e) {
                throw failed("the checksums of image " + id + " cannot be written", e);
            }
            transition(id, new ImageState.Verified());
            return true;
        }
    }

    /**
     * Notes durably what a look at an image's pages found wrong, beside it: it is not restored until another look finds it
     * sound ({@link #rescan}). Nothing if the image is gone.
     */
    public synchronized void recordDamage(ImageId id, String why) throws TorporException {
        requireOwner();
        try (Directory folder = folder(id)) {
            if (folder.facts(id.fileName()).isPresent()) {
                folder.replaceFile(id.damageName(), why.getBytes(StandardCharsets.UTF_8));
            }
        } catch (IOException e) {
            if (!StoreTrouble.missing(e)) {
                throw failed("the damage of image " + id + " cannot be recorded", e);
            }
        }
    }

    /**
     * Reads every page again and compares it with its checksum, or does {@link #verify} if there are none. An image that is
     * found sound may be restored again if it was found damaged before, for example because its file was put back.
     *
     * @return whether all pages are known to be what they were
     * @throws TorporException ImageDamaged, ImageTruncated; that is for the caller to record. What {@link #open(ImageId)} throws
     */
    public boolean rescan(ImageId id, ImageProgress progress) throws TorporException {
        requireOwner();
        CommittedImage image = open(id);
        if (!image.hasTable()) {
            boolean verified = verify(id, progress);
            if (verified) {
                recordSound(id);
            }
            return verified;
        }
        var _ = image.verify(progress);
        recordSound(id);
        return true;
    }

    /** Returns when all pages of an image were last read and found to be what they were; empty if they never were. */
    public Optional<Instant> verifiedAt(ImageId id) throws TorporException {
        try (Directory folder = folder(id)) {
            return folder.facts(id.checksumsName()).map(FileFacts::modifiedAt);
        } catch (IOException e) {
            if (StoreTrouble.missing(e)) {
                return Optional.empty();
            }
            throw StoreTrouble.of("image " + id + " cannot be looked at", e);
        }
    }

    /** Takes back {@link #recordDamage}, and makes the table of checksums a new file: its time is that of the last look. */
    private synchronized void recordSound(ImageId id) throws TorporException {
        try (Directory folder = folder(id)) {
            if (folder.facts(id.checksumsName()).isPresent()) {
                folder.replaceFile(id.checksumsName(), folder.readFile(id.checksumsName(), ChunkTable.BYTES_MAX));
            }
            if (folder.unlink(id.damageName())) {
                folder.sync();
            }
        } catch (IOException e) {
            throw failed("the checksums of image " + id + " cannot be written", e);
        }
    }

    /** Returns what was found wrong with an image's pages, if anything was. */
    public Optional<String> damage(ImageId id) throws TorporException {
        try (Directory folder = folder(id)) {
            return CommittedImage.damage(folder, id);
        } catch (IOException e) {
            if (StoreTrouble.missing(e)) {
                return Optional.empty();
            }
            throw StoreTrouble.of("image " + id + " cannot be looked at", e);
        }
    }

    /**
     * Does what can be done ahead of a {@link #transition} that is likely to come, so that it is quick. Changes nothing; for
     * the transition it does not matter whether this was done, or for something else.
     */
    public synchronized void prepareTransition(ImageId id, ImageState next) throws TorporException {
        requireOwner();
        ImageRecord record = record(id).orElseThrow(() -> missing(id)).with(next);
        prepared = Optional.empty(); // what failed in the middle is not what was prepared before
        try (Directory folder = folder(id)) {
            folder.prepareFile(id.recordName(), RecordJson.encode(record));
            prepared = Optional.of(record);
        } catch (IOException e) {
            throw StoreTrouble.of("image " + id + " cannot be recorded", e);
        }
    }

    private void replaceUnflushed(Directory folder, ImageRecord record) throws IOException {
        boolean ready = prepared.equals(Optional.of(record));
        prepared = Optional.empty();
        if (!ready) {
            folder.prepareFile(record.id().recordName(), RecordJson.encode(record));
        }
        folder.renamePrepared(record.id().recordName());
    }

    /**
     * Records that an image is committed. The only way out of Partial, so that nothing else can take it.
     *
     * @throws IOException if that cannot be made durable
     */
    synchronized ImageRecord seal(Directory folder, ImageRecord record, ImageRecord.Seal seal, String fileName)
            throws IOException {
        ImageRecord sealed =
                new ImageRecord(record.id(), record.intent(), Optional.of(seal), new ImageState.Complete());
        unflushed.add(record.id());
        try {
            if (!fileName.equals(record.id().fileName())) {
                folder.rename(fileName, record.id().fileName());
                folder.sync();
            }
            folder.replaceFile(record.id().recordName(), RecordJson.encode(sealed));
            unflushed.remove(record.id());
        } catch (IOException e) {
            doubtful = true;
            throw e;
        }
        return sealed;
    }

    /** Removes what was begun and not committed. */
    void abandon(ImageId id, String fileName) throws TorporException {
        if (fileName.equals(id.fileName())) {
            delete(id);
            return;
        }
        try (Directory folder = folder(id)) {
            var _ = folder.unlink(fileName);
        } catch (IOException e) {
            throw failed("what was begun of image " + id + " cannot be removed", e);
        }
    }

    /** Removes an image's file and record for good, in whatever state it is; nothing if there is none. */
    public synchronized void delete(ImageId id) throws TorporException {
        requireOwner();
        unflushed.add(id);
        try (Directory folder = folder(id)) {
            // The record goes last: after a crash in between the image is still listed, and deleted again.
            removeFiles(folder, id);
            boolean prepared = folder.forgetPrepared(id.recordName());
            if (folder.unlink(id.recordName()) || prepared) {
                folder.sync();
            }
        } catch (IOException e) {
            if (!StoreTrouble.missing(e)) {
                throw failed("image " + id + " cannot be deleted", e);
            }
        }
        unflushed.remove(id);
    }

    /**
     * Removes an image's record, which nobody can read, and nothing else: the file is there for people to look at, and is no
     * image of this store any more.
     */
    public synchronized void forget(ImageId id) throws TorporException {
        requireOwner();
        unflushed.add(id);
        try (Directory folder = folder(id)) {
            boolean prepared = folder.forgetPrepared(id.recordName());
            if (folder.unlink(id.recordName()) || prepared) {
                folder.sync();
            }
        } catch (IOException e) {
            if (!StoreTrouble.missing(e)) {
                throw failed("the record of image " + id + " cannot be removed", e);
            }
        }
        unflushed.remove(id);
    }

    private static void removeFiles(Directory folder, ImageId id) throws IOException {
        boolean checksums = folder.unlink(id.checksumsName());
        boolean damage = folder.unlink(id.damageName());
        boolean shadow = folder.unlink(id.shadowName());
        boolean plan = folder.unlink(id.planName());
        boolean file = folder.unlink(id.fileName());
        if (checksums || damage || shadow || plan || file) {
            folder.sync();
        }
    }

    /**
     * Lets the QEMU of the image's VM open it by the path that it has in its pod, until {@link #endLoan}. The VM's folder is
     * all of the store that its pod can see, and it cannot write there. Beside the image a plan is put of what may be read
     * ahead ({@link ImageId#planName}).
     *
     * @param mapped names of the blocks that QEMU is to map
     * @throws TorporException ImageMissing if there is no such image
     */
    public synchronized void lend(CommittedImage image, Set<String> mapped) throws TorporException {
        requireOwner();
        ImageId id = image.id();
        try (Directory images = root.directory().child(IMAGES);
                Directory folder = folder(id);
                Descriptor file = folder.openFile(id.fileName(), Access.READ)) {
            ImageLoan.begin(images, folder, id, ReadAheadPlan.of(file, image.layout(), mapped));
        } catch (IOException e) {
            throw StoreTrouble.missing(e) ? missing(id) : StoreTrouble.of("image " + id + " cannot be lent", e);
        }
    }

    /** Ends {@link #lend}; who has the image open keeps it. May be repeated, and for an image that was never lent. */
    public synchronized void endLoan(ImageId id) throws TorporException {
        requireOwner();
        try (Directory folder = folder(id)) {
            ImageLoan.end(folder, id);
        } catch (IOException e) {
            if (!StoreTrouble.missing(e)) {
                throw StoreTrouble.of("image " + id + " cannot be made private again", e);
            }
        }
    }

    /** Opens the directory that an image is in. */
    Directory folder(ImageId id) throws IOException {
        try (Directory images = root.directory().child(IMAGES);
                Directory namespace = images.child(id.namespace())) {
            return namespace.child(id.vm());
        }
    }

    private void requireOwner() {
        if (root.lock() == null) {
            throw new IllegalStateException("the store was opened for looking only");
        }
    }

    private static TorporException missing(ImageId id) {
        return new TorporException(FailureReason.ImageMissing, "there is no image " + id + " in this store");
    }

    /** Gives the store up to the next owner. */
    @Override
    public void close() throws TorporException {
        try {
            root.close();
        } catch (IOException e) {
            throw StoreTrouble.of("the store cannot be closed", e);
        }
    }
}
