package dev.torpor.agent.launch;

import java.util.Comparator;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A release of QEMU.
 *
 * @param major as 10
 * @param minor as 2
 */
public record QemuVersion(int major, int minor) implements Comparable<QemuVersion> {
    // "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)"; downstream builds put their own name in front.
    private static final Pattern LINE = Pattern.compile(".*\\bversion (\\d{1,3})\\.(\\d{1,3})\\b.*");

    /** Reads the first line of what {@code --version} prints; empty if there is no version in it. */
    static Optional<QemuVersion> parse(String line) {
        Matcher matcher = LINE.matcher(line);
        return matcher.matches()
                ? Optional.of(new QemuVersion(Integer.parseInt(matcher.group(1)), Integer.parseInt(matcher.group(2))))
                : Optional.empty();
    }

    @Override
    public int compareTo(QemuVersion other) {
        return Comparator.comparingInt(QemuVersion::major)
                .thenComparingInt(QemuVersion::minor)
                .compare(this, other);
    }

    @Override
    public String toString() {
        return major + "." + minor;
    }
}
