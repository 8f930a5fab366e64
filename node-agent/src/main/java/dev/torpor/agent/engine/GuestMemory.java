package dev.torpor.agent.engine;

import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The memory of a paused guest, read through QEMU's monitor as its processors would see it. RAM blocks are found by QEMU's
 * own map of guest-physical addresses ({@code info mtree -f}), pages are read by {@code xp}: the only two ways to them that
 * need no file of QEMU's making.
 */
final class GuestMemory {
    // "  0000000100000000-0000000103ffffff (prio 0, ram): pc.ram @0000000006000000 KVM"
    private static final Pattern RANGE = Pattern.compile(
            "\\s+([0-9a-f]{1,16})-([0-9a-f]{1,16}) \\(prio -?\\d+, ram\\): (\\S+)(?: @([0-9a-f]{1,16}))?.*");
    private static final Pattern VIEW = Pattern.compile("FlatView #\\d+");
    private static final String SYSTEM = " AS \"memory\"";
    private static final int RADIX = 16;

    private final QmpClient qmp;
    private final List<Range> ranges;

    private GuestMemory(QmpClient qmp, List<Range> ranges) {
        this.qmp = qmp;
        this.ranges = ranges;
    }

    /**
     * A part of a RAM block that the guest sees.
     *
     * @param block name of the block
     * @param offset in the block
     * @param address guest-physical
     * @param bytes how long it is
     */
    private record Range(String block, long offset, long address, long bytes) {}

    /** Asks QEMU for its map. */
    static GuestMemory of(QmpClient qmp) throws TorporException {
        List<Range> ranges = new ArrayList<>();
        boolean system = false;
        for (String line : monitor(qmp, "info mtree -f").lines().toList()) {
            if (VIEW.matcher(line).matches()) {
                system = false;
            } else if (line.startsWith(SYSTEM)) {
                system = true;
            }
            Matcher range = RANGE.matcher(line);
            if (system && range.matches()) {
                long first = Long.parseUnsignedLong(range.group(1), RADIX);
                long last = Long.parseUnsignedLong(range.group(2), RADIX);
                long offset = range.group(4) == null ? 0 : Long.parseUnsignedLong(range.group(4), RADIX);
                ranges.add(new Range(range.group(3), offset, first, last - first + 1));
            }
        }
        return new GuestMemory(qmp, ranges);
    }

    /**
     * Reads a part of a RAM block.
     *
     * @return empty if something else is in front of it, as a PC's video memory is
     * @throws TorporException LoadFailed if the guest has no such block at all, or QEMU does not answer in its own format
     */
    Optional<byte[]> read(String block, long offset, int bytes) throws TorporException {
        boolean known = false;
        for (Range range : ranges) {
            if (range.block().equals(block)) {
                known = true;
                long within = offset - range.offset();
                if (within >= 0 && within + bytes <= range.bytes()) {
                    return Optional.of(physical(range.address() + within, bytes));
                }
            }
        }
        if (!known) {
            throw new TorporException(
                    FailureReason.LoadFailed, "QEMU does not say where RAM block " + block + " is in the guest");
        }
        return Optional.empty();
    }

    // "0000000000100000: 0x7f 0x45 …", eight to a line.
    private byte[] physical(long address, int bytes) throws TorporException {
        String dump = monitor(qmp, "xp /%dxb 0x%x".formatted(bytes, address));
        byte[] content = new byte[bytes];
        int n = 0;
        for (String line : dump.lines().toList()) {
            int colon = line.indexOf(':');
            for (String word : line.substring(colon + 1).strip().split(" +", -1)) {
                if (n < bytes && word.startsWith("0x") && word.length() == 4) {
                    content[n++] = (byte) Integer.parseInt(word, 2, 4, RADIX);
                }
            }
        }
        if (n != bytes) {
            throw new TorporException(FailureReason.LoadFailed, "QEMU does not show its guest's memory");
        }
        return content;
    }

    private static String monitor(QmpClient qmp, String command) throws TorporException {
        return qmp.execute("human-monitor-command", Map.of("command-line", command))
                .asText();
    }
}
