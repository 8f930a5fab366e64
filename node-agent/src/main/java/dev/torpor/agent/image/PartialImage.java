package dev.torpor.agent.image;

import dev.torpor.agent.linux.Access;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.Directory;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.locks.LockSupport;

/** An image that is being written: either committed or abandoned. */
public final class PartialImage {
    // QEMU lets go of its channels a moment after it says "completed"; tried: at once after remove-fd.
    private static final Duration WRITERS_LEAVE = Duration.ofSeconds(5);
    private static final Duration WRITERS_LOOK = Duration.ofMillis(20);

    private final ImageStore store;
    private final ImageRecord record;
    private final Step.Observer observer;
    private final String fileName;
    private boolean committed;
    private boolean sealing;

    PartialImage(ImageStore store, ImageRecord record, Step.Observer observer) {
        this(store, record, observer, record.id().fileName());
    }

    /**
     * Prepares.
     *
     * @param fileName that the file has until it is committed
     */
    PartialImage(ImageStore store, ImageRecord record, Step.Observer observer, String fileName) {
        this.store = store;
        this.record = record;
        this.observer = observer;
        this.fileName = fileName;
    }

    /** Returns which image. */
    public ImageId id() {
        return record.id();
    }

    /** Returns what was recorded when it was begun. */
    public PartialIntent intent() {
        return record.intent();
    }

    /**
     * Opens the file for QEMU to write: write-only, and a second time with O_DIRECT if asked for.
     *
     * @param directIO only where {@link ImageStore#directIO}
     */
    public ImageFiles openForQemu(boolean directIO) throws TorporException {
        try (Directory folder = store.folder(id())) {
            return ImageFiles.open(folder, fileName, Access.WRITE, directIO, Access.WRITE_DIRECT);
        } catch (IOException e) {
            throw StoreTrouble.of("image " + id() + " cannot be opened for writing", e);
        }
    }

    /**
     * Commits: proves that nobody has the file open for writing, checks the stream against what QEMU said, writes the
     * header, flushes the file, records Complete and flushes the directory. When this returns, the image survives a power
     * loss. When it throws, and {@link #mayBeComplete} says no, the image is to be abandoned, and the guest to be continued;
     * otherwise the record is to be read again first.
     *
     * @param header what the image says of itself
     * @param normalPages pages that QEMU says it wrote ({@code ram.normal} of query-migrate)
     * @throws TorporException ImageCheckFailed, StoreFailed, NotEnoughSpace
     */
    public CommittedImage commit(ImageHeader header, long normalPages) throws TorporException {
        return commit(header, folder -> check(folder, header.vm(), normalPages));
    }

    /**
     * Commits streams that were recorded by us, like {@link #commit(ImageHeader, long)}.
     *
     * @param channels what {@link ChannelWriter#finish} said
     */
    public CommittedImage commit(ImageHeader header, ChannelLayout channels) throws TorporException {
        return commit(header, folder -> check(folder, header.vm(), channels));
    }

    /**
     * Tells whether the record may say Complete, even if {@link #commit} threw: that it was written was begun. Only the record
     * itself, read again, tells then.
     */
    public boolean mayBeComplete() {
        return sealing;
    }

    private interface Check {
        ImageLayout of(Directory folder) throws IOException, TorporException;
    }

    private CommittedImage commit(ImageHeader header, Check check) throws TorporException {
        if (committed || !header.id().equals(id())) {
            throw new IllegalStateException("commit of " + header.id() + " as " + id());
        }
        ImageRecord sealed;
        try (Directory folder = store.folder(id())) {
            ImageRecord.Seal seal = writeHeader(folder, header, check.of(folder));
            sealing = true;
            sealed = store.seal(folder, record, seal, fileName);
            observer.done(Step.RECORDED_COMPLETE);
        } catch (MalformedImageException e) {
            throw checkFailed(e.why());
        } catch (IOException e) {
            throw StoreTrouble.of("image " + id() + " cannot be committed", e);
        }
        CommittedImage image = CommittedImage.open(() -> store.folder(id()), id().fileName(), Optional.of(sealed));
        committed = true;
        return image;
    }

    private ImageLayout check(Directory folder, VmDefinition vm, long normalPages) throws IOException, TorporException {
        try (Descriptor file = folder.openFile(fileName, Access.READ)) {
            proveNoWriter(file);
            LayoutScan.Result scan = LayoutScan.scan(file::read, file.facts().sizeBytes(), vm.memoryBytes());
            ImageLayout layout = scan.layout();
            if (layout.presentPages() != normalPages) {
                throw checkFailed("its bitmaps have " + layout.presentPages() + " pages, and QEMU says that it wrote "
                        + normalPages);
            }
            if (!scan.stream().machineType().equals(vm.machineType())) {
                throw checkFailed("it is of a machine " + scan.stream().machineType() + ", and QEMU says that it is "
                        + vm.machineType());
            }
            for (Map.Entry<String, Long> block : vm.ramBlocks().entrySet()) {
                long bytes = layout.usedBytes(block.getKey());
                if (bytes != block.getValue()) {
                    throw checkFailed("RAM block '" + block.getKey() + "' has " + bytes + " bytes in it, and QEMU says "
                            + block.getValue());
                }
            }
            observer.done(Step.STREAM_CHECKED);
            return layout;
        }
    }

    private ImageLayout check(Directory folder, VmDefinition vm, ChannelLayout channels)
            throws IOException, TorporException {
        try (Descriptor file = folder.openFile(fileName, Access.READ)) {
            proveNoWriter(file);
            long sizeBytes = file.facts().sizeBytes();
            if (sizeBytes != channels.sizeBytes()) {
                throw checkFailed("it has " + sizeBytes + " bytes, and " + channels.sizeBytes() + " were written");
            }
            new ChannelCheck(file::read, channels).check(vm.machineType());
            observer.done(Step.STREAM_CHECKED);
            return ImageLayout.of(channels);
        }
    }

    private void proveNoWriter(Descriptor file) throws IOException, TorporException {
        long end = System.nanoTime() + WRITERS_LEAVE.toNanos();
        while (!file.hasNoWriter()) {
            if (System.nanoTime() - end > 0) {
                throw checkFailed("somebody still has it open for writing");
            }
            LockSupport.parkNanos(WRITERS_LOOK.toNanos());
        }
        observer.done(Step.NO_WRITER_LEFT);
    }

    private ImageRecord.Seal writeHeader(Directory folder, ImageHeader header, ImageLayout layout) throws IOException {
        byte[] area = HeaderArea.encode(header, layout);
        try (Descriptor file = folder.openFile(fileName, Access.WRITE)) {
            file.write(ByteBuffer.wrap(area), 0);
            observer.done(Step.HEADER_WRITTEN);
            file.flushData();
            observer.done(Step.FILE_FLUSHED);
            return new ImageRecord.Seal(
                    layout.sizeBytes(),
                    ByteBuffer.wrap(area).getInt(HeaderArea.CRC_OFFSET),
                    Optional.of(file.facts().modifiedAt()));
        }
    }

    /** Removes file and record durably; may be repeated. QEMU must have let go of the file, or its space stays taken. */
    public void abandon() throws TorporException {
        if (committed) {
            throw new IllegalStateException("image " + id() + " was committed");
        }
        store.abandon(id(), fileName);
    }

    private TorporException checkFailed(String why) {
        return new TorporException(
                FailureReason.ImageCheckFailed, "image " + id() + " failed the checks before commit: " + why);
    }
}
