package dev.torpor.api.status;

import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.ConditionBuilder;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Builds and reads lists of conditions. A condition keeps its {@code lastTransitionTime} for as long as its status
 * stays the same, so that an unchanged condition is equal to the one before and needs no write.
 */
public final class Conditions {
    /** Most characters of a message; the API allows 32768, and nobody reads that much. */
    private static final int MESSAGE_CHARACTERS_MAX = 4096;

    private Conditions() {}

    /**
     * Returns a condition as it follows the ones before.
     *
     * @param before the conditions of the object as it was seen; null if it has none
     * @param generation of the spec that the condition speaks of; null if the object has none
     * @param now when the status changed, if it did; cut to seconds
     */
    public static Condition next(
            @Nullable List<Condition> before,
            String type,
            boolean status,
            String reason,
            String message,
            @Nullable Long generation,
            Instant now) {
        String word = status ? "True" : "False";
        String since = find(before, type)
                .filter(old -> word.equals(old.getStatus()))
                .map(Condition::getLastTransitionTime)
                .orElseGet(() -> time(now));
        return new ConditionBuilder()
                .withType(type)
                .withStatus(word)
                .withReason(reason)
                .withMessage(cut(message))
                .withObservedGeneration(generation)
                .withLastTransitionTime(since)
                .build();
    }

    /** Returns the list with this condition in the place of the one of its type, or at the end. The argument stays as it is. */
    public static List<Condition> with(@Nullable List<Condition> before, Condition condition) {
        List<Condition> after = new ArrayList<>(Objects.requireNonNullElse(before, List.of()));
        for (int i = 0; i < after.size(); i++) {
            if (condition.getType().equals(after.get(i).getType())) {
                after.set(i, condition);
                return List.copyOf(after);
            }
        }
        after.add(condition);
        return List.copyOf(after);
    }

    /** Returns the condition of a type, if there is one. */
    public static Optional<Condition> find(@Nullable List<Condition> conditions, String type) {
        return Objects.requireNonNullElse(conditions, List.<Condition>of()).stream()
                .filter(condition -> type.equals(condition.getType()))
                .findFirst();
    }

    /** Returns whether the condition of a type is there and True. */
    public static boolean isTrue(@Nullable List<Condition> conditions, String type) {
        return find(conditions, type)
                .filter(condition -> "True".equals(condition.getStatus()))
                .isPresent();
    }

    /** Returns whether the condition of a type is there and False, which is not the same as absent. */
    public static boolean isFalse(@Nullable List<Condition> conditions, String type) {
        return find(conditions, type)
                .filter(condition -> "False".equals(condition.getStatus()))
                .isPresent();
    }

    /** Returns the reason of the condition of a type, or null if there is no such condition. */
    public static @Nullable String reason(@Nullable List<Condition> conditions, String type) {
        return find(conditions, type).map(Condition::getReason).orElse(null);
    }

    /** Returns a time as it stands in status: RFC 3339, UTC, whole seconds. */
    public static String time(Instant instant) {
        return instant.truncatedTo(ChronoUnit.SECONDS).toString();
    }

    private static String cut(String message) {
        return message.length() <= MESSAGE_CHARACTERS_MAX
                ? message
                : message.substring(0, MESSAGE_CHARACTERS_MAX - 3) + "...";
    }
}
