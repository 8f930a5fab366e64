package dev.torpor.agent.engine;

import com.fasterxml.jackson.databind.JsonNode;
import dev.torpor.agent.image.ByteSource;
import dev.torpor.agent.image.ImageLayout;
import dev.torpor.agent.image.RamBlock;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpCommandException;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.random.RandomGenerator;

/**
 * The memory of a QEMU whose RAM is an image, mapped privately. QEMU is asked what it has mapped, whatever it was told to;
 * and before its guest runs, samples of the memory that the guest will see are compared with the image: that QEMU leaves
 * pages alone whose bit is clear is its behaviour, not its promise.
 */
public final class MappedMemory {
    /** Samples of each block and kind: pages that are in the image, and pages that are zero. */
    private static final int SAMPLES = 4;
    // So many tries to find a page of the wanted kind: nearly all of a block may be of the other.
    private static final int TRIES = 256;

    private MappedMemory() {}

    /**
     * Returns the names of the blocks whose RAM is mapped from a file.
     *
     * @param path the file, as QEMU's command line names it
     * @throws TorporException LoadFailed if one is mapped from that file otherwise than privately and from its place
     */
    public static List<String> of(QmpClient qmp, ImageLayout layout, String path) throws TorporException {
        List<String> mapped = new ArrayList<>();
        for (RamBlock block : layout.blocks()) {
            String object = "/objects/" + block.name();
            if (block.name().contains("/")
                    || !property(qmp, object, "mem-path")
                            .filter(value -> value.asText().equals(path))
                            .isPresent()) {
                continue;
            }
            boolean right = property(qmp, object, "offset")
                            .filter(value -> value.asLong() == block.pages().offsetBytes())
                            .isPresent()
                    && property(qmp, object, "size")
                            .filter(value -> value.asLong() == block.usedBytes())
                            .isPresent()
                    && property(qmp, object, "share")
                            .filter(value -> !value.asBoolean())
                            .isPresent();
            if (!right) {
                throw failed("RAM block " + block.name() + " is not mapped privately from its place in the image");
            }
            mapped.add(block.name());
        }
        return mapped;
    }

    private static Optional<JsonNode> property(QmpClient qmp, String object, String name) throws TorporException {
        try {
            return Optional.of(qmp.execute("qom-get", Map.of("path", object, "property", name)));
        } catch (QmpCommandException e) {
            return Optional.empty(); // no such object, or not of that type
        }
    }

    /**
     * Compares samples of a paused guest's memory with the image.
     *
     * @param mapped names of the blocks
     * @param image read from
     * @throws TorporException LoadFailed if a page differs, or if the memory cannot be found in the guest
     */
    public static void compare(
            QmpClient qmp, ImageLayout layout, List<String> mapped, ByteSource image, RandomGenerator random)
            throws TorporException {
        GuestMemory guest = GuestMemory.of(qmp);
        for (RamBlock block : layout.blocks()) {
            if (mapped.contains(block.name())) {
                for (long page : samples(block, image, random)) {
                    compare(guest, block, page, image);
                }
            }
        }
    }

    private static void compare(GuestMemory guest, RamBlock block, long page, ByteSource image) throws TorporException {
        long offset = page * block.pageBytes();
        Optional<byte[]> seen = guest.read(block.name(), offset, (int) block.pageBytes());
        byte[] saved = isPresent(block, page, image)
                ? read(image, block.pages().offsetBytes() + offset, (int) block.pageBytes())
                : new byte[(int) block.pageBytes()];
        if (seen.isPresent() && ByteBuffer.wrap(seen.get()).mismatch(ByteBuffer.wrap(saved)) >= 0) {
            throw failed("the guest's page at offset " + offset + " of RAM block " + block.name()
                    + " is not what the image has there");
        }
    }

    private static List<Long> samples(RamBlock block, ByteSource image, RandomGenerator random) throws TorporException {
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
