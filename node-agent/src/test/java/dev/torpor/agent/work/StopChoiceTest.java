package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** A grace of 60 s, of which the last 10 are for the commit. */
class StopChoiceTest {
    private static final Duration GRACE = Duration.ofSeconds(60);

    @Test
    void whatWillBeWrittenInTimeCarriesOn() {
        assertThat(choice(60, 50)).isEqualTo(StopChoice.CARRY_ON);
        assertThat(choice(60, 51)).isEqualTo(StopChoice.HURRY);
        assertThat(choice(11, 1)).isEqualTo(StopChoice.CARRY_ON);
        assertThat(choice(11, 2)).isEqualTo(StopChoice.HURRY);
    }

    @Test
    void whatIsNotWrittenWhenOnlyTheCommitWouldFitIsUndone() {
        assertThat(choice(10, 1)).isEqualTo(StopChoice.UNDO);
        assertThat(StopChoice.of(Duration.ofSeconds(9), GRACE, Optional.empty()))
                .isEqualTo(StopChoice.UNDO);
    }

    @Test
    void whatIsWrittenIsCommittedEvenThen() {
        assertThat(choice(3, 0)).isEqualTo(StopChoice.CARRY_ON);
    }

    @Test
    void whatCannotBeToldYetIsGivenTime() {
        assertThat(StopChoice.of(Duration.ofSeconds(30), GRACE, Optional.empty()))
                .isEqualTo(StopChoice.CARRY_ON);
    }

    @Test
    void aShortGraceKeepsAQuarterForTheCommit() {
        Duration brief = Duration.ofSeconds(8);
        assertThat(StopChoice.of(Duration.ofSeconds(3), brief, Optional.of(Duration.ofSeconds(1))))
                .isEqualTo(StopChoice.CARRY_ON);
        assertThat(StopChoice.of(Duration.ofSeconds(2), brief, Optional.of(Duration.ofSeconds(1))))
                .isEqualTo(StopChoice.UNDO);
    }

    private static StopChoice choice(long leftSeconds, long untilWrittenSeconds) {
        return StopChoice.of(
                Duration.ofSeconds(leftSeconds), GRACE, Optional.of(Duration.ofSeconds(untilWrittenSeconds)));
    }
}
