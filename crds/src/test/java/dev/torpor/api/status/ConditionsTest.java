package dev.torpor.api.status;

import static org.assertj.core.api.Assertions.assertThat;

import io.fabric8.kubernetes.api.model.Condition;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.Test;

class ConditionsTest {
    private static final Instant THEN = Instant.parse("2026-01-02T03:04:05.678Z");
    private static final Instant NOW = THEN.plusSeconds(60);

    private final Condition before = Conditions.next(null, "Ready", false, "Saving", "is being saved", 1L, THEN);

    @Test
    void newConditionCarriesTheTimeInSeconds() {
        assertThat(before.getLastTransitionTime()).isEqualTo("2026-01-02T03:04:05Z");
        assertThat(before.getStatus()).isEqualTo("False");
        assertThat(before.getObservedGeneration()).isEqualTo(1L);
    }

    @Test
    void sameStatusKeepsTheTransitionTimeWhateverElseChanges() {
        Condition after = Conditions.next(List.of(before), "Ready", false, "VMBusy", "other words", 2L, NOW);

        assertThat(after.getLastTransitionTime()).isEqualTo(before.getLastTransitionTime());
        assertThat(after.getReason()).isEqualTo("VMBusy");
    }

    @Test
    void otherStatusTakesTheNewTime() {
        Condition after = Conditions.next(List.of(before), "Ready", true, "Restorable", "", 1L, NOW);

        assertThat(after.getLastTransitionTime()).isEqualTo("2026-01-02T03:05:05Z");
    }

    @Test
    void unchangedConditionIsEqual() {
        assertThat(Conditions.next(List.of(before), "Ready", false, "Saving", "is being saved", 1L, NOW))
                .isEqualTo(before);
    }

    @Test
    void withReplacesOnlyItsType() {
        Condition saved = Conditions.next(null, "Saved", true, "Committed", "", 1L, NOW);
        Condition ready = Conditions.next(null, "Ready", true, "Restorable", "", 1L, NOW);

        assertThat(Conditions.with(Conditions.with(List.of(before), saved), ready))
                .containsExactly(ready, saved);
        assertThat(Conditions.with(null, saved)).containsExactly(saved);
    }

    @Test
    void absentIsNeitherTrueNorFalse() {
        assertThat(Conditions.isTrue(null, "Ready")).isFalse();
        assertThat(Conditions.isFalse(null, "Ready")).isFalse();
        assertThat(Conditions.isFalse(List.of(before), "Ready")).isTrue();
        assertThat(Conditions.reason(List.of(before), "Ready")).isEqualTo("Saving");
        assertThat(Conditions.reason(List.of(before), "Saved")).isNull();
    }

    @Test
    void longMessageIsCut() {
        assertThat(Conditions.next(null, "Ready", false, "Failed", "x".repeat(5000), 1L, NOW)
                        .getMessage())
                .hasSize(4096)
                .endsWith("...");
    }
}
