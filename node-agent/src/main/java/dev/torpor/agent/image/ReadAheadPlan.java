package dev.torpor.agent.image;

import dev.torpor.agent.linux.Descriptor;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Set;

/**
 * Which parts of an image's file hold pages of mapped blocks, for a shell script to read: lines {@code SKIP COUNT}, in MiB,
 * each SKIP counted from the end of the line before. What is zero in the guest is left out: reading a hole would fill memory
 * with nothing.
 */
final class ReadAheadPlan {
    private static final int UNIT_BYTES = 1 << 20;
    /** The most that one line reads, so that the reader has time to breathe. */
    private static final int UNITS_MAX = 32;

    private final StringBuilder lines = new StringBuilder();
    private long written;
    private long from;
    private long to;

    private ReadAheadPlan() {}

    /** Makes the plan of an image; empty text if its blocks do not begin at whole MiB, as QEMU's do. */
    static String of(Descriptor image, ImageLayout layout, Set<String> mapped) throws IOException {
        ReadAheadPlan plan = new ReadAheadPlan();
        for (RamBlock block : layout.blocks()) {
            if (mapped.contains(block.name())) {
                if (block.pages().offsetBytes() % UNIT_BYTES != 0) {
                    return "";
                }
                plan.add(image, block);
            }
        }
        plan.flush();
        return plan.lines.toString();
    }

    private void add(Descriptor image, RamBlock block) throws IOException {
        ByteBuffer bitmap = ByteBuffer.allocate(Math.toIntExact(block.bitmap().lengthBytes()));
        image.read(bitmap, block.bitmap().offsetBytes());
        byte[] bits = bitmap.array();
        long first = block.pages().offsetBytes() / UNIT_BYTES;
        long units = (block.usedBytes() + UNIT_BYTES - 1) / UNIT_BYTES;
        for (long unit = 0; unit < units; unit++) {
            long page = unit * UNIT_BYTES / block.pageBytes();
            long end = Math.max(page + 1, (unit + 1) * UNIT_BYTES / block.pageBytes());
            if (anyBit(bits, page, end)) {
                add(first + unit);
            }
        }
    }

    private static boolean anyBit(byte[] bits, long from, long to) {
        for (long bit = from; bit < to && bit / Byte.SIZE < bits.length; bit++) {
            if ((bits[(int) (bit / Byte.SIZE)] >> (bit % Byte.SIZE) & 1) != 0) {
                return true;
            }
        }
        return false;
    }

    private void add(long unit) {
        if (unit != to || to - from == UNITS_MAX) {
            flush();
            from = unit;
        }
        to = unit + 1;
    }

    private void flush() {
        if (to > from) {
            lines.append(from - written).append(' ').append(to - from).append('\n');
            written = to;
        }
        from = to;
    }
}
