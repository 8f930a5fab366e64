package dev.torpor.agent.launch;

import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Which folder: the same from inside a container and from the node.
 *
 * @param device number of its file system
 * @param inode its number there
 */
public record FolderId(long device, long inode) {
    private static final Pattern TEXT = Pattern.compile("(\\d{1,19}):(\\d{1,19})");

    /** Reads {@code device:inode}; empty if it is not that. */
    static Optional<FolderId> parse(String text) {
        Matcher matcher = TEXT.matcher(text);
        try {
            return matcher.matches()
                    ? Optional.of(new FolderId(Long.parseLong(matcher.group(1)), Long.parseLong(matcher.group(2))))
                    : Optional.empty();
        } catch (NumberFormatException e) {
            return Optional.empty();
        }
    }
}
