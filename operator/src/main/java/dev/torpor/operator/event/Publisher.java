package dev.torpor.operator.event;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.status.StatusOwner;
import dev.torpor.api.status.StatusWriter;
import dev.torpor.api.status.WriteResult;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.operator.step.Step;
import dev.torpor.operator.step.StepHook;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.client.CustomResource;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Makes a decision known: the operator's part of status, if it changed, and with it a log line and an Event, if phase or
 * reason are news. Safe for use by many threads.
 */
public final class Publisher<R extends CustomResource<?, S>, S> {
    private static final Logger LOG = LoggerFactory.getLogger(Publisher.class);
    /** The object changed while we decided: the event of that change comes too, this only makes sure. */
    private static final Duration STALE_INTERVAL = Duration.ofSeconds(1);

    /** Conditions of which a new reason is news. */
    private static final List<String> NEWS = List.of(ConditionType.READY, ConditionType.RESUMABLE);

    private final StatusWriter writer;
    private final EventRecorder events;
    private final StepHook steps;
    private final Step step;
    private final StatusOwner<R, S> owner;
    private final Function<S, @Nullable Enum<?>> phase;
    private final Function<S, @Nullable List<Condition>> conditions;

    /**
     * @param steps hears of each write of status
     * @param step what a write of status is called
     * @param owner the operator's part of this kind's status
     * @param phase reads the phase of a status
     * @param conditions reads the conditions of a status
     */
    public Publisher(
            StatusWriter writer,
            EventRecorder events,
            StepHook steps,
            Step step,
            StatusOwner<R, S> owner,
            Function<S, @Nullable Enum<?>> phase,
            Function<S, @Nullable List<Condition>> conditions) {
        this.writer = writer;
        this.events = events;
        this.steps = steps;
        this.step = step;
        this.owner = owner;
        this.phase = phase;
        this.conditions = conditions;
    }

    /**
     * Publishes.
     *
     * @param seen the object on which it was decided
     * @param own the operator's part of status, whole; null: leave it as it is
     * @param lookAgain when to look again if no event comes before; null: only when something changes
     * @param notice what to tell people if the status is news
     * @return when to look again, now that it is known whether the status was taken
     */
    public @Nullable Duration publish(R seen, @Nullable S own, @Nullable Duration lookAgain, @Nullable Notice notice) {
        if (own == null) {
            announce(seen, notice);
            return lookAgain;
        }
        steps.before(step);
        WriteResult<R> result = writer.transition(owner, seen, own);
        steps.after(step);
        return switch (result) {
            case WriteResult.Unchanged<R> _ -> lookAgain;
            case WriteResult.Written<R> _ -> {
                if (isNews(seen.getStatus(), own)) {
                    announce(seen, notice);
                }
                yield lookAgain;
            }
            case WriteResult.Stale<R>(String detail) -> {
                LOG.debug("{}: looking again: {}", ref(seen), detail);
                yield STALE_INTERVAL;
            }
            case WriteResult.Gone<R> _ -> null;
        };
    }

    private void announce(R seen, @Nullable Notice notice) {
        if (notice != null) {
            LOG.info("{}: {}: {}", ref(seen), notice.reason(), notice.message());
            events.record(seen, notice);
        }
    }

    private boolean isNews(@Nullable S before, S after) {
        return before == null
                || phase.apply(before) != phase.apply(after)
                || NEWS.stream()
                        .anyMatch(type -> !Objects.equals(
                                Conditions.reason(conditions.apply(before), type),
                                Conditions.reason(conditions.apply(after), type)));
    }

    private static String ref(CustomResource<?, ?> object) {
        return "%s %s/%s (%s)"
                .formatted(
                        object.getKind(),
                        object.getMetadata().getNamespace(),
                        object.getMetadata().getName(),
                        object.getMetadata().getUid());
    }
}
