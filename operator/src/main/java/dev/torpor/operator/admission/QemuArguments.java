package dev.torpor.operator.admission;

import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.Quantity;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** What can be told of QEMU's command line without running it. */
final class QemuArguments {
    private static final Pattern SIZE = Pattern.compile("(?:size=)?(\\d+)([bkmgtBKMGT]?)(?:,.*)?");
    private static final Pattern VERSIONED = Pattern.compile(".*-\\d+\\.\\d+.*");
    private static final String BINARY = "qemu-system-";

    private final Container container;
    private final List<String> words;

    QemuArguments(Container container) {
        this.container = container;
        this.words = new ArrayList<>(container.getCommand());
        this.words.addAll(container.getArgs());
    }

    /** Returns the guest's memory in bytes by the option -m, else what the container asks for; empty if neither says it. */
    Optional<Long> memoryBytes() {
        return value("-m").or(() -> value("--m")).flatMap(QemuArguments::bytes).or(this::requestedBytes);
    }

    /** Returns whether QEMU is told a machine type that means the same in every version; empty if no QEMU is to be seen. */
    Optional<Boolean> hasVersionedMachine() {
        if (words.stream()
                .noneMatch(word -> word.substring(word.lastIndexOf('/') + 1).startsWith(BINARY))) {
            return Optional.empty();
        }
        Optional<String> machine =
                value("-machine").or(() -> value("--machine")).or(() -> value("-M"));
        return Optional.of(machine.map(type ->
                        type.startsWith("microvm") || VERSIONED.matcher(type).matches())
                .orElse(false));
    }

    private Optional<String> value(String option) {
        int at = words.indexOf(option);
        return at >= 0 && at + 1 < words.size() ? Optional.of(words.get(at + 1)) : Optional.empty();
    }

    private static Optional<Long> bytes(String size) {
        Matcher matcher = SIZE.matcher(size);
        if (!matcher.matches() || matcher.group(1).length() > 12) {
            return Optional.empty();
        }
        long number = Long.parseLong(matcher.group(1));
        int shift =
                switch (matcher.group(2).toLowerCase(Locale.ROOT)) {
                    case "b" -> 0;
                    case "k" -> 10;
                    case "g" -> 30;
                    case "t" -> 40;
                    default -> 20; // QEMU takes a bare number for megabytes.
                };
        return Optional.of(number << shift);
    }

    private Optional<Long> requestedBytes() {
        if (container.getResources() == null) {
            return Optional.empty();
        }
        return Optional.ofNullable(memory(container.getResources().getRequests()))
                .or(() -> Optional.ofNullable(memory(container.getResources().getLimits())))
                .map(quantity -> quantity.getNumericalAmount().longValue());
    }

    private static @Nullable Quantity memory(@Nullable Map<String, Quantity> resources) {
        return resources == null ? null : resources.get("memory");
    }
}
