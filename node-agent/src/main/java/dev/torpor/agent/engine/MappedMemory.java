package dev.torpor.agent.engine;

import com.fasterxml.jackson.databind.JsonNode;
import dev.torpor.agent.image.ByteSource;
import dev.torpor.agent.image.ImageLayout;
import dev.torpor.agent.image.RamBlock;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpCommand;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.LongBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.random.RandomGenerator;

/**
 * The memory of a QEMU whose RAM is an image, mapped privately. QEMU is asked what it has mapped, whatever it was told to;
 * and before its guest runs, samples of the memory that the guest will see are compared with the image: that QEMU leaves
 * pages alone whose bit is clear is its behaviour, not its promise.
 */
public final class MappedMemory {
    /**
     * Samples of each block and kind: of pages that are in the image, and of pages that are zero. One would find a wrong file or
     * place; the guest waits for each.
     */
    private static final int SAMPLES = 2;
    // Half a kilobyte of a page tells as well whose page it is, and QEMU prints it in a tenth of the time.
    private static final int SAMPLE_BYTES = 512;
    // So many tries to find a page of the wanted kind: nearly all of a block may be of the other.
    private static final int TRIES = 256;

    /** No block below this is mapped by what launchers are told. */
    private static final long RAM_BYTES_MIN = 1 << 20;

    private static final QmpCommand BACKENDS = QmpCommand.of("query-memdev");
    private static final String PATH = "mem-path";
    private static final String OFFSET = "offset";

    private MappedMemory() {}

    /**
     * Returns the names of the blocks whose RAM is mapped from a file.
     *
     * @param path the file, as QEMU's command line names it
     * @throws TorporException LoadFailed if one is mapped from that file otherwise than privately and from its place
     */
    public static List<String> of(QmpClient qmp, ImageLayout layout, String path) throws TorporException {
        return of(Answers.to(qmp, questions(layout)), layout, path);
    }

    /** What QEMU is asked for {@link #of(Answers, ImageLayout, String)}. */
    static List<QmpCommand> questions(ImageLayout layout) {
        List<QmpCommand> questions = new ArrayList<>(List.of(BACKENDS));
        layout.blocks().stream()
                .filter(MappedMemory::mayBeMapped)
                .forEach(block -> questions.addAll(List.of(property(block, PATH), property(block, OFFSET))));
        return questions;
    }

    static List<String> of(Answers answers, ImageLayout layout, String path) throws TorporException {
        List<RamBlock> mapped = layout.blocks().stream()
                .filter(MappedMemory::mayBeMapped)
                .filter(block -> answers.ifAny(property(block, PATH)) // no such object, or not of that type
                        .filter(value -> value.asText().equals(path))
                        .isPresent())
                .toList();
        for (RamBlock block : mapped) {
            boolean right = answers.ifAny(property(block, OFFSET))
                            .filter(value -> value.asLong() == block.pages().offsetBytes())
                            .isPresent()
                    && isPrivate(block, answers.to(BACKENDS));
            if (!right) {
                throw failed("RAM block " + block.name() + " is not mapped privately from its place in the image");
            }
        }
        return mapped.stream().map(RamBlock::name).toList();
    }

    /** Tells whether a block can be memory that a user's command, or our words, map from a file: small ones are firmware. */
    static boolean mayBeMapped(RamBlock block) {
        return !block.name().contains("/") && block.usedBytes() >= RAM_BYTES_MIN;
    }

    private static boolean isPrivate(RamBlock block, JsonNode backends) {
        for (JsonNode backend : backends) {
            if (backend.path("id").asText().equals(block.name())) {
                return backend.path("size").asLong() == block.usedBytes()
                        && !backend.path("share").asBoolean(true);
            }
        }
        return false;
    }

    private static QmpCommand property(RamBlock block, String name) {
        return QmpCommand.property("/objects/" + block.name(), name);
    }

    /**
     * Parts of pages of an image, chosen by chance, for {@link #compare}.
     *
     * @param pages each with what the image has there
     */
    public record Samples(List<Sample> pages) {
        public Samples {
            pages = List.copyOf(pages);
        }

        /**
         * Chooses and reads them; needs no QEMU.
         *
         * @param mapped names of the blocks that are, or will be, mapped
         * @throws TorporException ImageDamaged, ImageTruncated if they cannot be read
         */
        public static Samples of(ImageLayout layout, Set<String> mapped, ByteSource image, RandomGenerator random)
                throws TorporException {
            List<Sample> pages = new ArrayList<>();
            for (RamBlock block : layout.blocks()) {
                if (mapped.contains(block.name())) {
                    for (long page : choose(block, image, random)) {
                        long offset = page * block.pageBytes();
                        int bytes = (int) block.pageBytes();
                        // Those that are zero too: in the page cache, QEMU has them at once, and not 2 MiB around them.
                        byte[] content = MappedMemory.read(image, block.pages().offsetBytes() + offset, bytes);
                        if (!isPresent(block, page, image) && !Arrays.equals(content, new byte[bytes])) {
                            throw new TorporException(
                                    FailureReason.ImageDamaged,
                                    "the image has something at offset " + offset + " of RAM block " + block.name()
                                            + ", where its bitmap says that there is nothing");
                        }
                        int at = telling(content);
                        pages.add(new Sample(
                                block.name(),
                                offset + at,
                                ByteBuffer.wrap(content, at, Math.min(SAMPLE_BYTES, bytes))
                                        .slice()));
                    }
                }
            }
            return new Samples(pages);
        }
    }

    /**
     * Part of a page.
     *
     * @param block the RAM block's name
     * @param offset in the block
     * @param content what the guest is to see there
     */
    record Sample(String block, long offset, ByteBuffer content) {
        /** Compares with words in the byte order of a guest that we do not know: all of them in the one, or in the other. */
        boolean is(long[] words) {
            return is(words, ByteOrder.LITTLE_ENDIAN) || is(words, ByteOrder.BIG_ENDIAN);
        }

        private boolean is(long[] words, ByteOrder order) {
            return content.duplicate().order(order).asLongBuffer().equals(LongBuffer.wrap(words));
        }
    }

    /**
     * Compares samples with a paused guest's memory, once its device state is loaded.
     *
     * @throws TorporException LoadFailed if a page differs, or if the memory cannot be found in the guest
     */
    public static void compare(QmpClient qmp, ResumeTarget target, Samples samples) throws TorporException {
        if (target.memory().isPresent() && isSame(qmp, target.memory().get(), samples)) {
            return;
        }
        // Devices say where the guest sees what: a PC's chipset puts things in front of its RAM. So QEMU is asked
        // again.
        Optional<Sample> differing = differing(qmp, GuestMemory.of(qmp), samples);
        if (differing.isPresent()) {
            throw failed("the guest's memory at offset " + differing.get().offset() + " of RAM block "
                    + differing.get().block() + " is not what the image has there");
        }
    }

    // By a map from before the load, a block may be nowhere, or something of no memory in its place.
    private static boolean isSame(QmpClient qmp, GuestMemory before, Samples samples) throws TorporException {
        try {
            return differing(qmp, before, samples).isEmpty();
        } catch (TorporException e) {
            if (e.reason() != FailureReason.LoadFailed) {
                throw e;
            }
            return false;
        }
    }

    private static Optional<Sample> differing(QmpClient qmp, GuestMemory memory, Samples samples)
            throws TorporException {
        List<Optional<long[]>> seen = memory.read(
                qmp,
                samples.pages().stream()
                        .map(page -> new GuestMemory.Place(
                                page.block(), page.offset(), page.content().remaining()))
                        .toList());
        for (int i = 0; i < seen.size(); i++) {
            Sample page = samples.pages().get(i);
            // What something else is in front of, as a PC's video memory is, cannot be seen.
            if (seen.get(i).filter(words -> !page.is(words)).isPresent()) {
                return Optional.of(page);
            }
        }
        return Optional.empty();
    }

    /** Returns where the first part of a page begins that is not zero: most pages are, to a good part. */
    private static int telling(byte[] page) {
        for (int i = 0; i < page.length; i++) {
            if (page[i] != 0) {
                return i - i % SAMPLE_BYTES;
            }
        }
        return 0;
    }

    private static List<Long> choose(RamBlock block, ByteSource image, RandomGenerator random) throws TorporException {
        List<Long> pages = new ArrayList<>();
        int present = 0;
        int absent = 0;
        for (int i = 0; i < TRIES && present + absent < 2 * SAMPLES; i++) {
            long page = random.nextLong(block.pageCount());
            if (isPresent(block, page, image) ? present < SAMPLES : absent < SAMPLES) {
                pages.add(page);
                present += isPresent(block, page, image) ? 1 : 0;
                absent = pages.size() - present;
            }
        }
        return pages;
    }

    private static boolean isPresent(RamBlock block, long page, ByteSource image) throws TorporException {
        byte[] bits = read(image, block.bitmap().offsetBytes() + page / Byte.SIZE, 1);
        return (bits[0] >> (page % Byte.SIZE) & 1) != 0;
    }

    private static byte[] read(ByteSource image, long offset, int length) throws TorporException {
        ByteBuffer buffer = ByteBuffer.allocate(length);
        try {
            if (image.read(buffer, offset) == length) {
                return buffer.array();
            }
        } catch (IOException e) {
            throw new TorporException(FailureReason.ImageDamaged, "the image cannot be read at offset " + offset, e);
        }
        throw new TorporException(FailureReason.ImageTruncated, "the image ends before offset " + (offset + length));
    }

    private static TorporException failed(String why) {
        return new TorporException(FailureReason.LoadFailed, why);
    }
}
