package dev.torpor.agent.qmp;

import java.util.Map;

/**
 * A command that can be sent together with others.
 *
 * @param name the command's name
 * @param arguments by name; values as Jackson turns them into JSON
 */
public record QmpCommand(String name, Map<String, ?> arguments) {
    public QmpCommand {
        arguments = Map.copyOf(arguments);
    }

    /** A command without arguments. */
    public static QmpCommand of(String name) {
        return new QmpCommand(name, Map.of());
    }

    /** A question for a property of one of QEMU's objects. */
    public static QmpCommand property(String path, String property) {
        return new QmpCommand("qom-get", Map.of("path", path, "property", property));
    }
}
