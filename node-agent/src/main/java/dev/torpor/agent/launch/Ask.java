package dev.torpor.agent.launch;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * A launcher's question how to start. On disk {@code argv} is base64 of the arguments, each
 * ended by a NUL byte; {@code qemu} the first line of what its {@code --version} prints, and {@code images} device and inode
 * of the folder at {@code /run/torpor-images}, if the launcher found that out.
 *
 * @param id chosen by the launcher, once for each start of a process
 * @param argv the command that the container names, byte for byte: each byte is one char (ISO 8859-1), as arguments
 *     need not be valid in any encoding
 * @param qemu which QEMU the command is, if it says so
 * @param images the folder of images that the container sees, if there is one
 */
public record Ask(String id, List<String> argv, Optional<QemuVersion> qemu, Optional<FolderId> images)
        implements Asked {
    /** Longest ask that is read, in bytes: an argument list of 192 KiB. QEMU command lines stay below 8 KiB. */
    public static final int BYTES_MAX = 256 << 10;

    private static final int ARGUMENTS_MAX = 4096;
    private static final Pattern ID = Pattern.compile("[0-9a-zA-Z-]{1,64}");

    public Ask {
        argv = List.copyOf(argv);
    }

    /** Makes one of a launcher that says no more than its command. */
    Ask(String id, List<String> argv) {
        this(id, argv, Optional.empty(), Optional.empty());
    }

    /** Tells whether a launcher may call an ask so: the id becomes part of file names. */
    public static boolean isId(String text) {
        return ID.matcher(text).matches();
    }

    static Ask of(String id, Map<String, String> values) throws MalformedAskException {
        return new Ask(
                id,
                arguments(values.getOrDefault("argv", "")),
                Optional.ofNullable(values.get("qemu")).flatMap(QemuVersion::parse),
                Optional.ofNullable(values.get("images")).flatMap(FolderId::parse));
    }

    private static List<String> arguments(String encoded) throws MalformedAskException {
        byte[] bytes;
        try {
            bytes = Base64.getDecoder().decode(encoded);
        } catch (IllegalArgumentException e) {
            throw new MalformedAskException("its argv is not base64", e);
        }
        if (bytes.length == 0 || bytes[bytes.length - 1] != 0) {
            throw new MalformedAskException("its argv does not end with a NUL byte");
        }
        List<String> arguments = new ArrayList<>();
        int begin = 0;
        for (int i = 0; i < bytes.length; i++) {
            if (bytes[i] == 0) {
                arguments.add(new String(bytes, begin, i - begin, StandardCharsets.ISO_8859_1));
                begin = i + 1;
            }
        }
        if (arguments.size() > ARGUMENTS_MAX) {
            throw new MalformedAskException("it has more than " + ARGUMENTS_MAX + " arguments");
        }
        if (arguments.getFirst().isEmpty()) {
            throw new MalformedAskException("it names no command");
        }
        return arguments;
    }
}
