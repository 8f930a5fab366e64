package dev.torpor.agent.work;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import java.time.Duration;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What the operator asks for by {@link Torpor#SHUT_DOWN_ANNOTATION}.
 *
 * @param podUID pod whose VM is to be shut down
 * @param grace how long its guest has
 */
record ShutdownWish(String podUID, Duration grace) {
    private static final Pattern VALUE = Pattern.compile("([0-9A-Za-z-]{1,64})/([0-9]{1,7})");

    /** Reads an object; empty if it asks for nothing, or for what cannot be understood. */
    static Optional<ShutdownWish> of(VMSnapshot object) {
        Map<String, String> annotations =
                Objects.requireNonNullElse(object.getMetadata().getAnnotations(), Map.of());
        Matcher value = VALUE.matcher(annotations.getOrDefault(Torpor.SHUT_DOWN_ANNOTATION, ""));
        return value.matches()
                ? Optional.of(new ShutdownWish(value.group(1), Duration.ofSeconds(Long.parseLong(value.group(2)))))
                : Optional.empty();
    }
}
