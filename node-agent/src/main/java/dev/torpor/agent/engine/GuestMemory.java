package dev.torpor.agent.engine;

import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpCommand;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The memory of a paused guest, read through QEMU's monitor as its processors would see it. RAM blocks are found by QEMU's
 * own map of guest-physical addresses ({@code info mtree -f}), pages are read by {@code xp}: the only two ways to them that
 * need no file of QEMU's making.
 */
public final class GuestMemory {
    // "  0000000100000000-0000000103ffffff (prio 0, ram): pc.ram @0000000006000000 KVM"
    private static final Pattern RANGE = Pattern.compile(
            "\\s+([0-9a-f]{1,16})-([0-9a-f]{1,16}) \\(prio -?\\d+, ram\\): (\\S+)(?: @([0-9a-f]{1,16}))?.*");
    private static final Pattern VIEW = Pattern.compile("FlatView #\\d+");
    private static final String SYSTEM = " AS \"memory\"";
    private static final String RAM = ", ram): ";
    private static final int RADIX = 16;
    private static final int WORD_DIGITS = 16;

    /** What QEMU is asked for {@link #of(Answers)}. */
    static final QmpCommand QUESTION = monitor("info mtree -f");

    private final List<Range> ranges;

    private GuestMemory(List<Range> ranges) {
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
        return of(Answers.to(qmp, List.of(QUESTION)));
    }

    /** Takes the map from what QEMU said to {@link #QUESTION}; empty if it refused to say. */
    static Optional<GuestMemory> ifAny(Answers answers) throws TorporException {
        return answers.ifAny(QUESTION).isPresent() ? Optional.of(of(answers)) : Optional.empty();
    }

    /** Takes the map from what QEMU said to {@link #QUESTION}. */
    static GuestMemory of(Answers answers) throws TorporException {
        List<Range> ranges = new ArrayList<>();
        boolean system = false;
        String map = answers.to(QUESTION).asText();
        for (String line : map.lines().toList()) {
            if (VIEW.matcher(line).matches()) {
                system = false;
            } else if (line.startsWith(SYSTEM)) {
                system = true;
            }
            if (!system || !line.contains(RAM)) {
                continue;
            }
            Matcher range = RANGE.matcher(line);
            if (range.matches()) {
                long first = Long.parseUnsignedLong(range.group(1), RADIX);
                long last = Long.parseUnsignedLong(range.group(2), RADIX);
                long offset = range.group(4) == null ? 0 : Long.parseUnsignedLong(range.group(4), RADIX);
                ranges.add(new Range(range.group(3), offset, first, last - first + 1));
            }
        }
        return new GuestMemory(ranges);
    }

    /**
     * A part of a RAM block.
     *
     * @param block its name
     * @param offset in the block
     * @param bytes how long it is; a multiple of eight
     */
    record Place(String block, long offset, int bytes) {}

    /**
     * Reads parts of RAM blocks.
     *
     * @return one for each, as words of eight bytes in the guest's own byte order; empty if something else is in front of it,
     *     as a PC's video memory is
     * @throws TorporException LoadFailed if the guest has no such block at all, or QEMU does not answer in its own format
     */
    List<Optional<long[]>> read(QmpClient qmp, List<Place> places) throws TorporException {
        Map<Place, QmpCommand> questions = new HashMap<>();
        for (Place place : places) {
            OptionalLong address = address(place);
            if (address.isPresent()) {
                questions.put(
                        place, monitor("xp /%dxg 0x%x".formatted(place.bytes() / Long.BYTES, address.getAsLong())));
            }
        }
        Answers answers = Answers.to(qmp, questions.values());
        List<Optional<long[]>> found = new ArrayList<>();
        for (Place place : places) {
            QmpCommand question = questions.get(place);
            found.add(
                    question == null
                            ? Optional.empty()
                            : Optional.of(words(answers.to(question).asText(), place.bytes() / Long.BYTES)));
        }
        return found;
    }

    private OptionalLong address(Place place) throws TorporException {
        boolean known = false;
        for (Range range : ranges) {
            if (range.block().equals(place.block())) {
                known = true;
                long within = place.offset() - range.offset();
                if (within >= 0 && within + place.bytes() <= range.bytes()) {
                    return OptionalLong.of(range.address() + within);
                }
            }
        }
        if (!known) {
            throw new TorporException(
                    FailureReason.LoadFailed,
                    "QEMU does not say where RAM block " + place.block() + " is in the guest");
        }
        return OptionalLong.empty();
    }

    // "0000000000100000: 0x00000000464c457f 0x0000000000000000", two to a line. By hand, as a guest waits for it.
    private static long[] words(String dump, int count) throws TorporException {
        long[] words = new long[count];
        int n = 0;
        int at = dump.indexOf(':');
        while (at >= 0 && n < count) {
            int digits = dump.indexOf("0x", at) + 2;
            if (digits < 2 || digits + WORD_DIGITS > dump.length()) {
                break;
            }
            try {
                words[n++] = Long.parseUnsignedLong(dump, digits, digits + WORD_DIGITS, RADIX);
            } catch (NumberFormatException e) {
                break;
            }
            at = digits + WORD_DIGITS;
        }
        if (n != count) {
            throw new TorporException(FailureReason.LoadFailed, "QEMU does not show its guest's memory");
        }
        return words;
    }

    private static QmpCommand monitor(String command) {
        return new QmpCommand("human-monitor-command", Map.of("command-line", command));
    }
}
