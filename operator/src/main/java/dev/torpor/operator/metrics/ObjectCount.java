package dev.torpor.operator.metrics;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.failure.FailureReason;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.client.CustomResource;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Counts the objects of a kind, as the informer knows them.
 *
 * @param kind such as VMSnapshot
 * @param phases all phases, so that a phase without objects shows as 0
 * @param phase reads the phase of a status
 * @param conditions reads the conditions of a status
 * @param all lists the objects; they are not changed
 */
public record ObjectCount<S>(
        String kind,
        List<? extends Enum<?>> phases,
        Function<S, @Nullable Enum<?>> phase,
        Function<S, @Nullable List<Condition>> conditions,
        Supplier<Stream<? extends CustomResource<?, S>>> all) {
    private static final String UNSEEN = "Unseen";
    private static final String OTHER = "Other";
    // Reasons are written by several hands: only those that we know become labels.
    private static final Set<String> REASONS =
            Arrays.stream(FailureReason.values()).map(Enum::name).collect(Collectors.toUnmodifiableSet());

    record Counted(Map<String, Long> byPhase, Map<String, Long> byStalledReason) {}

    Counted now() {
        Map<String, Long> byPhase = new TreeMap<>();
        phases.forEach(known -> byPhase.put(known.name(), 0L));
        Map<String, Long> byReason = new TreeMap<>();
        all.get().forEach(object -> {
            S status = object.getStatus();
            Enum<?> itsPhase = status == null ? null : phase.apply(status);
            var _ = byPhase.merge(itsPhase == null ? UNSEEN : itsPhase.name(), 1L, Long::sum);
            List<Condition> its = status == null ? null : conditions.apply(status);
            if (Conditions.isTrue(its, ConditionType.STALLED)) {
                String reason = Conditions.reason(its, ConditionType.STALLED);
                var _ = byReason.merge(reason != null && REASONS.contains(reason) ? reason : OTHER, 1L, Long::sum);
            }
        });
        return new Counted(byPhase, byReason);
    }
}
