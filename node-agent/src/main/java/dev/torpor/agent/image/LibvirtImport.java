package dev.torpor.agent.image;

import dev.torpor.agent.linux.Access;
import dev.torpor.agent.linux.AlignedBuffer;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.linux.ErrnoException;
import dev.torpor.agent.linux.FileFacts;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import io.airlift.compress.MalformedInputException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * Makes an image of a file that {@code virsh save} wrote, or only reads all of it. The file may be hostile, and stays as it
 * is: what is checked, and restored later, is the copy.
 *
 * <p>{@code raw}, and {@code gzip} and {@code zstd} decompressed, become an image of one stream, QEMU's main channel
 * ({@link ChannelLayout}); {@code sparse} becomes one with pages at their places.
 */
public final class LibvirtImport {
    private static final String QEMU_UNKNOWN = "unknown";

    private LibvirtImport() {}

    /**
     * What was read.
     *
     * @param image its header
     * @param domain what its definition tells
     * @param streamBytes length of QEMU's stream, decompressed; of a sparse one, what of it is in the file
     * @param checksummed whether it carries checksums of all of its stream
     */
    public record Verified(LibvirtImage image, LibvirtDomain domain, long streamBytes, boolean checksummed) {}

    /**
     * Reads all of a file and compares what can be: lengths, the stream's head with the domain, the compression's checksum, the
     * stream's end.
     *
     * @throws TorporException ImageMissing, ImageIncomplete, ImageTruncated, ImageDamaged, ImageFormatTooNew,
     *     ImageFormatUnsupported
     */
    public static Verified verify(Path path, ImageProgress progress) throws TorporException {
        return with(path, (file, facts, image, domain) -> {
            if (image.format() == LibvirtImage.Format.SPARSE) {
                ImageLayout layout = LayoutScan.scan(
                                file::read, image.streamOffsetBytes(), facts.sizeBytes(), domain.memoryBytes())
                        .layout();
                requireDescription(file::read, layout.deviceStateOffsetBytes(), facts.sizeBytes());
                requireSame(domain, parse(file, facts, image, domain).machineType());
                long pageBytes = layout.blocks().getFirst().pageBytes();
                return new Verified(image, domain, layout.presentPages() * pageBytes, false);
            }
            PlainStream stream = new PlainStream(memoryMax(domain));
            read(file, facts, image, progress, stream::update);
            requireSame(domain, stream.finish().machineType());
            boolean checksummed =
                    switch (image.format()) {
                        case GZIP -> true;
                        case ZSTD ->
                            ZstdFrames.allHaveChecksums(file::read, image.streamOffsetBytes(), facts.sizeBytes());
                        case RAW, BZIP2, XZ, LZOP, SPARSE -> false;
                    };
            return new Verified(image, domain, stream.lengthBytes(), checksummed);
        });
    }

    /**
     * Makes an image of a file, committed like any other ({@link PartialImage#commit}). It waits for its VM's next start, as
     * that of a managed save does.
     *
     * @param store to which the image is added, beside its owner
     * @param runNumber of which run of the VM it is taken to be
     * @throws TorporException what {@link #verify} throws; NotEnoughSpace, before anything is copied if that is known then: of a
     *     compressed file only that it has at least its own length is; StoreFailed, also while another import of that VM is under way
     */
    public static CommittedImage run(ImageStore store, ImageId id, Path path, long runNumber, ImageProgress progress)
            throws TorporException {
        return with(path, (file, facts, image, domain) -> {
            Instant began = Instant.now();
            try (Directory _ = store.turnToAdd(id)) {
                PartialImage partial = store.createBeside(
                        id,
                        new PartialIntent(
                                ImageMode.MANAGED_SAVE,
                                runNumber,
                                image.wasRunning(),
                                Optional.empty(),
                                began,
                                false,
                                true));
                Import work = new Import(store, partial, file, facts, image, domain, progress);
                try {
                    return image.format() == LibvirtImage.Format.SPARSE ? work.sparse() : work.plain();
                } catch (IOException | TorporException | RuntimeException e) {
                    if (partial.mayBeComplete()) {
                        throw mayBeThere(id, e);
                    }
                    try {
                        partial.abandon();
                    } catch (TorporException also) {
                        e.addSuppressed(also);
                    }
                    throw e;
                }
            }
        });
    }

    /** It has its own name by then, and perhaps a record: not ours to take back, as its owner may have seen it. */
    private static TorporException mayBeThere(ImageId id, Exception e) {
        return new TorporException(
                e instanceof TorporException failure ? failure.reason() : FailureReason.StoreFailed,
                e.getMessage() + ": image " + id
                        + " may be there all the same, and is given to its VM's next start then:"
                        + " see torpor-agent image inspect " + id.uid(),
                e);
    }

    private record Import(
            ImageStore store,
            PartialImage partial,
            Descriptor file,
            FileFacts facts,
            LibvirtImage image,
            LibvirtDomain domain,
            ImageProgress progress) {
        CommittedImage plain() throws IOException, TorporException {
            store.requireRoom(facts.sizeBytes() - image.streamOffsetBytes());
            PlainStream stream = new PlainStream(memoryMax(domain));
            ChannelLayout layout;
            PlainStream.Head head;
            try (ImageFiles files = partial.openForQemu(false)) {
                ChannelWriter writer = new ChannelWriter(files, 1);
                read(file, facts, image, progress, unit -> {
                    stream.update(unit.duplicate());
                    writer.add(0, unit);
                });
                head = stream.finish();
                requireSame(domain, head.machineType());
                layout = writer.finish(new Compression(Compression.Method.NONE, OptionalInt.empty()));
            }
            return partial.commit(header(head.blocks()), layout);
        }

        CommittedImage sparse() throws IOException, TorporException {
            MappedRamStream stream = parse(file, facts, image, domain);
            requireSame(domain, stream.machineType());
            requireDescription(file::read, stream.deviceStateOffsetBytes(), facts.sizeBytes());
            ImageLayout there = LayoutScan.scan(
                            file::read, image.streamOffsetBytes(), facts.sizeBytes(), domain.memoryBytes())
                    .layout();
            store.requireRoom(there.presentPages() * there.blocks().getFirst().pageBytes());
            long pages;
            try (ImageFiles files = partial.openForQemu(false)) {
                pages = MappedRamCopy.copy(stream, file::read, facts.sizeBytes(), files.buffered(), progress);
            }
            SortedMap<String, Long> blocks = new TreeMap<>();
            stream.blocks().forEach(block -> blocks.put(block.name(), block.usedBytes()));
            return partial.commit(header(blocks), pages);
        }

        private ImageHeader header(SortedMap<String, Long> blocks) {
            return new ImageHeader(
                    partial.id(),
                    ImageMode.MANAGED_SAVE,
                    new VmDefinition(
                            QEMU_UNKNOWN,
                            domain.machineType(),
                            domain.vcpus(),
                            domain.uuid().toLowerCase(Locale.ROOT),
                            "",
                            domain.accelerator(),
                            domain.pciFunctions(),
                            blocks,
                            domain.memoryBytes()),
                    ImageHeader.LIBVIRT,
                    1,
                    false,
                    partial.intent().runNumber(),
                    image.wasRunning(),
                    partial.intent().startedAt(),
                    Instant.now());
        }
    }

    private static MappedRamStream parse(Descriptor file, FileFacts facts, LibvirtImage image, LibvirtDomain domain)
            throws IOException {
        return MappedRamStream.parse(
                file::read,
                image.streamOffsetBytes(),
                new MappedRamStream.Bounds(facts.sizeBytes(), memoryMax(domain)));
    }

    private static void requireDescription(ByteSource file, long from, long to) throws IOException {
        if (!StreamEnd.of(file, from, to).foundDescription()) {
            throw new MalformedImageException("the stream does not end as QEMU ends one");
        }
    }

    private static long memoryMax(LibvirtDomain domain) {
        return domain.memoryBytes() + LayoutScan.DEVICE_MEMORY_BYTES_MAX;
    }

    private static void requireSame(LibvirtDomain domain, String machineType) throws MalformedImageException {
        if (!domain.machineType().equals(machineType)) {
            throw new MalformedImageException(
                    "its stream is of a machine " + machineType + ", and the domain says " + domain.machineType());
        }
    }

    private interface Units {
        void next(ByteBuffer unit) throws IOException;
    }

    /** Reads a stream in units of an image, each from 0 to its limit, all but the last one whole. */
    private static void read(Descriptor file, FileFacts facts, LibvirtImage image, ImageProgress progress, Units units)
            throws IOException, TorporException {
        ByteBuffer unit = AlignedBuffer.allocate(ChannelLayout.UNIT_BYTES);
        byte[] bytes = new byte[64 << 10];
        long[] position = {0};
        ByteSource counted = (buffer, offset) -> {
            int n = file.read(buffer, offset);
            position[0] = offset + n;
            return n;
        };
        try (InputStream in = image.stream(counted)) {
            while (true) {
                unit.clear().limit(ChannelLayout.UNIT_BYTES);
                while (unit.hasRemaining()) {
                    int n = in.read(bytes, 0, Math.min(bytes.length, unit.remaining()));
                    if (n < 0) {
                        break;
                    }
                    unit.put(bytes, 0, n);
                }
                if (unit.position() == 0) {
                    return;
                }
                unit.flip();
                boolean last = unit.limit() < ChannelLayout.UNIT_BYTES;
                units.next(unit);
                progress.progress(Math.min(position[0], facts.sizeBytes()), facts.sizeBytes());
                if (last) {
                    return;
                }
            }
        } catch (ErrnoException | MalformedImageException e) {
            throw e; // of a disk, or of what is in the stream
        } catch (IOException | MalformedInputException e) {
            throw new TorporException(
                    FailureReason.ImageDamaged,
                    "the image's stream cannot be decompressed: it is cut off, or damaged: " + e.getMessage(),
                    e);
        }
    }

    private interface Work<T> {
        T on(Descriptor file, FileFacts facts, LibvirtImage image, LibvirtDomain domain)
                throws IOException, TorporException;
    }

    private static <T> T with(Path path, Work<T> work) throws TorporException {
        Path absolute = path.toAbsolutePath();
        Path parent = absolute.getParent();
        Path name = absolute.getFileName();
        if (parent == null || name == null) {
            throw new TorporException(FailureReason.ImageMissing, path + " is not a file");
        }
        try (Directory directory = Directory.open(parent)) {
            // Opening a FIFO or a device could block or have effects.
            if (directory
                    .facts(name.toString())
                    .filter(facts -> !facts.isRegularFile())
                    .isPresent()) {
                throw new TorporException(
                        FailureReason.ImageMissing, path + " is not a file, or a link, which is not followed");
            }
            try (Descriptor file = open(directory, name.toString())) {
                LibvirtImage image = LibvirtImage.read(file::read)
                        .orElseThrow(() -> new TorporException(
                                FailureReason.ImageDamaged, "the file does not begin as one that virsh save wrote"));
                return work.on(file, file.facts(), image, LibvirtDomain.parse(image.xml()));
            }
        } catch (MalformedImageException e) {
            throw new TorporException(
                    FailureReason.ImageDamaged, "the image that libvirt wrote is damaged or cut off: " + e.why(), e);
        } catch (IOException e) {
            throw StoreTrouble.missing(e) || e instanceof NoSuchFileException // of its folder
                    ? new TorporException(FailureReason.ImageMissing, "the image's file is missing", e)
                    : StoreTrouble.of("the image cannot be read, or written to the store", e);
        }
    }

    private static Descriptor open(Directory directory, String name) throws IOException, TorporException {
        try {
            return directory.openFile(name, Access.READ);
        } catch (ErrnoException e) {
            if (StoreTrouble.missing(e)) {
                throw e;
            }
            throw StoreTrouble.of("the file cannot be opened to be read", e);
        }
    }
}
