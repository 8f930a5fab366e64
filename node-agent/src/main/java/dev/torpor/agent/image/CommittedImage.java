package dev.torpor.agent.image;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.torpor.agent.linux.Access;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.linux.ErrnoException;
import dev.torpor.agent.linux.FileFacts;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import java.util.Set;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** An image whose file was found to be what was committed (all but its pages, which {@link #verify} reads). */
public final class CommittedImage {
    private static final Logger LOG = LoggerFactory.getLogger(CommittedImage.class);

    /** Opens the directory that the file is in. */
    @FunctionalInterface
    interface Folder {
        Directory open() throws IOException;
    }

    private final Folder folder;
    private final String fileName;
    private final HeaderArea area;
    private final FileFacts facts;
    private final Optional<ImageRecord> record;

    private CommittedImage(
            Folder folder, String fileName, HeaderArea area, FileFacts facts, Optional<ImageRecord> record) {
        this.folder = folder;
        this.fileName = fileName;
        this.area = area;
        this.facts = facts;
        this.record = record;
    }

    /**
     * Opens an image by the path of its file, wherever that is; what a record would say is not known.
     *
     * @throws TorporException ImageMissing, ImageIncomplete, ImageTruncated, ImageDamaged, ImageFormatTooNew
     */
    public static CommittedImage open(Path path) throws TorporException {
        Path absolute = path.toAbsolutePath();
        Path parent = absolute.getParent();
        Path name = absolute.getFileName();
        if (parent == null || name == null) {
            throw new TorporException(FailureReason.ImageMissing, path + " is not a file");
        }
        return open(() -> Directory.open(parent), name.toString(), Optional.empty());
    }

    static CommittedImage open(Folder folder, String fileName, Optional<ImageRecord> record) throws TorporException {
        if (record.isPresent()) {
            switch (record.get().state()) {
                case ImageState.Partial _ ->
                    throw new TorporException(
                            FailureReason.ImageIncomplete,
                            "image " + record.get().id() + " was never committed");
                case ImageState.Consumed _ ->
                    throw new TorporException(
                            FailureReason.ImageMissing,
                            "image " + record.get().id() + " was consumed: its VM was resumed from it");
                case ImageState.Complete _, ImageState.Verified _, ImageState.HandedOver _, ImageState.Stale _ -> {}
            }
        }
        try (Directory directory = folder.open();
                Descriptor file = openFile(directory, fileName)) {
            return new ImageCheck(file, record.flatMap(ImageRecord::seal))
                    .check((area, facts) -> new CommittedImage(folder, fileName, area, facts, record));
        } catch (IOException e) {
            throw unreadable(e);
        }
    }

    static Optional<String> damage(Directory folder, ImageId id) throws IOException {
        return folder.facts(id.damageName()).isEmpty()
                ? Optional.empty()
                : Optional.of(
                        new String(folder.readFile(id.damageName(), RecordJson.BYTES_MAX), StandardCharsets.UTF_8));
    }

    /** Opens the file for reading if it is a file: opening a FIFO or a device could block or have effects. */
    private static Descriptor openFile(Directory directory, String name) throws IOException, TorporException {
        if (directory.facts(name).filter(f -> !f.isRegularFile()).isPresent()) {
            throw new TorporException(FailureReason.ImageMissing, name + " is not a file");
        }
        return directory.openFile(name, Access.READ);
    }

    private static TorporException unreadable(IOException e) {
        if (StoreTrouble.missing(e) || e instanceof NoSuchFileException) {
            return new TorporException(FailureReason.ImageMissing, "the image's file is missing", e);
        }
        return StoreTrouble.of("the image cannot be read", e);
    }

    /** Returns which image. */
    public ImageId id() {
        return area.header().id();
    }

    /** Returns what the image says of itself. */
    public ImageHeader header() {
        return area.header();
    }

    /** Returns where things are in the file. */
    public ImageLayout layout() {
        return area.layout();
    }

    /** Returns the record as it was when the image was opened; empty for a file that was opened by its path. */
    public Optional<ImageRecord> record() {
        return record;
    }

    /** Returns the length of the file, holes included. */
    public long sizeBytes() {
        return facts.sizeBytes();
    }

    /** Returns the bytes that the file occupies on disk. */
    public long allocatedBytes() {
        return facts.allocatedBytes();
    }

    /** Returns the version of the format that the file is in. */
    public int formatVersion() {
        return area.formatVersion();
    }

    /** Returns all that the image says of itself, its state and its size, as indented JSON. */
    public String toJson() {
        ObjectNode root = HeaderJson.tree(header(), layout());
        root.put("formatVersion", formatVersion());
        record.ifPresent(r -> root.put("state", r.state().word()));
        root.put("allocatedBytes", allocatedBytes());
        return root.toPrettyString();
    }

    /**
     * Refuses an image that must not be resumed (any more).
     *
     * @throws TorporException SnapshotUnusable, saying why; ImageDamaged if a look at its pages found them so
     */
    public void requireRestorable() throws TorporException {
        try (Directory directory = folder.open()) {
            Optional<String> damage = damage(directory, id());
            if (damage.isPresent()) {
                throw new TorporException(FailureReason.ImageDamaged, damage.get());
            }
        } catch (IOException e) {
            throw unreadable(e);
        }
        if (record.isPresent() && !record.get().state().restorable(header().mode())) {
            String why =
                    switch (record.get().state()) {
                        case ImageState.HandedOver(ProcessIdentity process) ->
                            "it was handed over to process " + process.pid()
                                    + (process.podUID().isEmpty() ? "" : " of pod " + process.podUID());
                        case ImageState.Stale _ -> "its VM has run from its disks since";
                        case ImageState.Partial _,
                                ImageState.Consumed _,
                                ImageState.Complete _,
                                ImageState.Verified _ ->
                            "it is " + record.get().state().word();
                    };
            throw new TorporException(FailureReason.SnapshotUnusable, "image " + id() + " must not be resumed: " + why);
        }
    }

    /**
     * Opens the file for QEMU to read: read-only, and a second time with O_DIRECT if asked for.
     *
     * @throws TorporException ImageMissing if it was removed or replaced since
     */
    public ImageFiles openForQemu(boolean directIO) throws TorporException {
        try (Directory directory = folder.open()) {
            ImageFiles files = ImageFiles.open(directory, fileName, Access.READ, directIO, Access.READ_DIRECT);
            try {
                for (Descriptor file : files.all()) {
                    if (file.facts().inode() != facts.inode()) {
                        throw new TorporException(
                                FailureReason.ImageMissing, "the image's file was replaced by another");
                    }
                }
                return files;
            } catch (IOException | TorporException e) {
                files.close();
                throw e;
            }
        } catch (IOException e) {
            throw unreadable(e);
        }
    }

    /**
     * Writes the image's shadow ({@link ShadowStream}) and opens it for QEMU to read. The file has no name any more when
     * this returns: it goes with its last descriptor.
     *
     * @param mapped names of the blocks that QEMU has mapped from the image
     * @throws TorporException ImageMissing if the image was removed or replaced since; NotEnoughSpace
     */
    public ImageFiles openShadowForQemu(Set<String> mapped) throws TorporException {
        String name = id().shadowName();
        try (Directory directory = folder.open();
                ImageFiles image = openForQemu(false)) {
            directory.unlink(name); // of an agent that died in the middle
            try (Descriptor shadow = directory.createFile(name)) {
                ShadowStream.write(image.buffered(), layout(), mapped, shadow);
                return ImageFiles.open(directory, name, Access.READ, false, Access.READ_DIRECT);
            } finally {
                directory.unlink(name);
            }
        } catch (IOException e) {
            throw unreadable(e);
        }
    }

    /** Returns what fstat(2) tells of the folder that the file is in. */
    public FileFacts folderFacts() throws TorporException {
        try (Directory directory = folder.open()) {
            return directory.facts();
        } catch (IOException e) {
            throw unreadable(e);
        }
    }

    boolean hasTable() throws TorporException {
        try (Directory directory = folder.open()) {
            return directory.facts(id().checksumsName()).isPresent();
        } catch (IOException e) {
            throw unreadable(e);
        }
    }

    /** Tells whether every page was read back since the commit, so that a table of checksums is beside the image. */
    public boolean hasPageChecksums() throws TorporException {
        try (Directory directory = folder.open()) {
            return table(directory).isPresent();
        } catch (IOException e) {
            throw unreadable(e);
        } catch (TorporException e) {
            LOG.warn("image {}: {}", id(), e.getMessage());
            return false;
        }
    }

    /**
     * Reads every page that is in the file, past the page cache where that is possible, and compares them with the table of
     * checksums beside it, if there is one.
     *
     * @throws TorporException ImageDamaged if the disk cannot read one back, or a chunk is not what was committed, or the
     *     table is damaged
     */
    public PageCheck verify(ImageProgress progress) throws TorporException {
        if (layout().channels().isPresent()) {
            return new PageCheck(readChannels(progress), true);
        }
        try (Directory directory = folder.open();
                PageReader reader = PageReader.open(directory, fileName)) {
            Optional<ChunkTable> table = table(directory);
            long bytes = reader.readAll(layout(), progress, (chunk, crc32c, block, offset) -> {
                if (table.isPresent()) {
                    table.get().require(chunk, crc32c, block, offset);
                }
            });
            return new PageCheck(bytes, table.isPresent());
        } catch (IOException e) {
            throw unreadable(e);
        }
    }

    /**
     * Opens the pages for a comparison with their checksums, used by one thread at a time; empty if they have none.
     *
     * @param followed names of blocks that somebody is about to read into the page cache: compared as they come
     * @param patience how long nothing may come, before they are read past the page cache
     * @throws TorporException ImageMissing if it was removed since; ImageDamaged if the table is damaged
     */
    public Optional<PageComparison> comparison(Set<String> followed, Duration patience) throws TorporException {
        try (Directory directory = folder.open()) {
            Optional<ChunkTable> table = table(directory);
            return table.isEmpty()
                    ? Optional.empty()
                    : Optional.of(PageComparison.open(directory, fileName, layout(), table.get(), followed, patience));
        } catch (IOException e) {
            throw unreadable(e);
        }
    }

    /**
     * Reads every page and returns their checksums, which are those of what was committed: nobody may have written since.
     *
     * @throws TorporException ImageDamaged if somebody did, or has the file open to do so
     */
    ChunkTable checksums(ImageProgress progress) throws TorporException {
        ChunkTable table = readChecksums(progress);
        requireUnwritten();
        return table;
    }

    private void requireUnwritten() throws TorporException {
        Optional<Instant> committed = record.flatMap(ImageRecord::seal).flatMap(ImageRecord.Seal::modifiedAt);
        try (Directory directory = folder.open();
                Descriptor file = openFile(directory, fileName)) {
            // The lease first: who has it open now may write between a look at the time and one at the writers.
            boolean writer = !file.hasNoWriter();
            Instant modifiedAt = file.facts().modifiedAt();
            if (writer || committed.filter(time -> !time.equals(modifiedAt)).isPresent()) {
                throw new TorporException(
                        FailureReason.ImageDamaged,
                        "the image is damaged: " + (writer ? "somebody has it open for writing" : "it was written to")
                                + " after it was committed");
            }
        } catch (IOException e) {
            throw unreadable(e);
        }
    }

    private ChunkTable readChecksums(ImageProgress progress) throws TorporException {
        if (layout().channels().isPresent()) {
            var _ = readChannels(progress); // the file has their checksums in it
            return new ChunkTable.Builder(area).build();
        }
        try (Directory directory = folder.open();
                PageReader reader = PageReader.open(directory, fileName)) {
            ChunkTable.Builder table = new ChunkTable.Builder(area);
            var _ = reader.readAll(layout(), progress, (chunk, crc32c, _, _) -> table.put(chunk, crc32c));
            return table.build();
        } catch (IOException e) {
            throw unreadable(e);
        }
    }

    private long readChannels(ImageProgress progress) throws TorporException {
        try (Directory directory = folder.open();
                ImageFiles files = openToVerify(directory)) {
            return ChannelReader.open(files, layout().channels().orElseThrow()).readAll(progress);
        } catch (IOException e) {
            throw unreadable(e);
        }
    }

    private ImageFiles openToVerify(Directory directory) throws IOException {
        try {
            return ImageFiles.open(directory, fileName, Access.READ, true, Access.READ_DIRECT);
        } catch (ErrnoException e) {
            if (e.errno() == ErrnoException.EINVAL) { // a file system without direct I/O
                return ImageFiles.open(directory, fileName, Access.READ, false, Access.READ_DIRECT);
            }
            throw e;
        }
    }

    private Optional<ChunkTable> table(Directory directory) throws IOException, TorporException {
        String name = id().checksumsName();
        // Beside a file that was opened by its path too, unless that has another name.
        if (!fileName.equals(id().fileName()) || directory.facts(name).isEmpty()) {
            return Optional.empty();
        }
        return Optional.of(ChunkTable.decode(directory.readFile(name, ChunkTable.BYTES_MAX), area));
    }
}
