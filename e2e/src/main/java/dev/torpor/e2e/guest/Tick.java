package dev.torpor.e2e.guest;

import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * One line of the guest: proof of which boot it is, and of how long it has run.
 *
 * @param number counted from 1 at boot, one a second
 * @param nonce made at boot, kept in RAM only
 * @param memoryWrong whether the guest found its own random data changed
 * @param disk what it found on its disk: {@code ok} if it is what it wrote there last, {@code WRONG}; empty if it has none
 */
public record Tick(long number, String nonce, boolean memoryWrong, String disk) {
    private static final Pattern LINE =
            Pattern.compile("tick (\\d+) nonce ([0-9a-f-]{36})( md5 (?:ok|WRONG))?(?: disk (ok|WRONG))?\\s*");

    /** Reads a line of the serial console; empty if it is none of the guest's, or not whole. */
    public static Optional<Tick> parse(String line) {
        Matcher m = LINE.matcher(line);
        return m.matches()
                ? Optional.of(new Tick(
                        Long.parseLong(m.group(1)),
                        m.group(2),
                        " md5 WRONG".equals(m.group(3)),
                        m.group(4) == null ? "" : m.group(4)))
                : Optional.empty();
    }
}
