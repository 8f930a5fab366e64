package dev.torpor.telemetry.log;

import java.util.Arrays;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Collectors;

/**
 * How a process logs.
 *
 * @param format how a line is spelt
 * @param level the least that our own loggers write; what libraries say is written from INFO on at the most
 */
public record LogSettings(Format format, Level level) {
    /** Variable of the environment that names the format. */
    public static final String FORMAT_VARIABLE = "TORPOR_LOG_FORMAT";
    /** Variable of the environment that names the level. */
    public static final String LEVEL_VARIABLE = "TORPOR_LOG_LEVEL";
    /** Text at INFO. */
    public static final LogSettings DEFAULT = new LogSettings(Format.TEXT, Level.INFO);

    /** How a line is spelt. */
    public enum Format {
        /** For people. */
        TEXT,
        /** One JSON object a line. */
        JSON
    }

    /** How much is said. */
    public enum Level {
        /** What somebody asked for did not happen. */
        ERROR,
        /** Odd, but it goes on. */
        WARN,
        /** Changes of state. */
        INFO,
        /** Protocol and decisions. */
        DEBUG
    }

    /**
     * Reads {@link #FORMAT_VARIABLE} and {@link #LEVEL_VARIABLE}; what is not set is the default.
     *
     * @param problems hears of each value that is not one of ours
     */
    public static LogSettings parse(Map<String, String> environment, Consumer<String> problems) {
        return new LogSettings(
                value(environment, FORMAT_VARIABLE, Format.class, problems).orElse(DEFAULT.format),
                value(environment, LEVEL_VARIABLE, Level.class, problems).orElse(DEFAULT.level));
    }

    private static <E extends Enum<E>> Optional<E> value(
            Map<String, String> environment, String variable, Class<E> type, Consumer<String> problems) {
        String given = environment.getOrDefault(variable, "");
        if (given.isEmpty()) {
            return Optional.empty();
        }
        for (E value : type.getEnumConstants()) {
            if (value.name().equalsIgnoreCase(given)) {
                return Optional.of(value);
            }
        }
        problems.accept(variable + " is '" + given + "': give one of "
                + Arrays.stream(type.getEnumConstants())
                        .map(value -> value.name().toLowerCase(Locale.ROOT))
                        .collect(Collectors.joining(", ")));
        return Optional.empty();
    }

    @Override
    public String toString() {
        return "logs=" + format + "/" + level;
    }
}
