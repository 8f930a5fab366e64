package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import org.junit.jupiter.api.Test;

class PaceTest {
    private static final long SECOND = 1_000_000_000;

    private final Pace pace = new Pace(0);

    @Test
    void nothingIsToldBeforeThereIsProgress() {
        assertThat(pace.left(SECOND)).isEmpty();
        pace.report(0, 1000, SECOND);
        assertThat(pace.left(2 * SECOND)).isEmpty();
    }

    @Test
    void theRestIsEstimatedFromTheLastSeconds() {
        pace.report(600, 1000, 2 * SECOND); // zero pages go by at once
        pace.report(620, 1000, 4 * SECOND);
        pace.report(640, 1000, 6 * SECOND);
        assertThat(pace.left(6 * SECOND)).contains(Duration.ofSeconds(36));
    }

    @Test
    void whatIsWrittenTakesNoTime() {
        pace.report(1000, 1000, SECOND);
        assertThat(pace.left(SECOND)).contains(Duration.ZERO);
    }

    @Test
    void whatStandsStillIsNotTold() {
        pace.report(500, 1000, 2 * SECOND);
        pace.report(500, 1000, 4 * SECOND);
        pace.report(500, 1000, 6 * SECOND);
        assertThat(pace.left(8 * SECOND)).isEmpty();
    }
}
