package dev.torpor.api.generate;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Reads what the comments of an enum's constants say, as Markdown. */
final class JavadocOfConstants {
    private static final Pattern CONSTANT =
            Pattern.compile("/\\*\\*((?:(?!\\*/).)*)\\*/\\s*([A-Z][A-Za-z]*)\\(", Pattern.DOTALL);

    private JavadocOfConstants() {}

    static Map<String, String> read(Path source) throws IOException {
        Map<String, String> meanings = new TreeMap<>();
        Matcher matcher = CONSTANT.matcher(Files.readString(source));
        while (matcher.find()) {
            String comment = matcher.group(1)
                    .replaceAll("(?m)^\\s*\\*", " ")
                    .replaceAll("\\{@(?:code|link) ([^}]*)}", "`$1`")
                    .replaceAll("\\s+", " ");
            meanings.put(matcher.group(2), comment.strip());
        }
        return meanings;
    }
}
