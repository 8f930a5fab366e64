package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.v1alpha1.Progress;
import org.junit.jupiter.api.Test;

class ProgressMeterTest {
    private static final long SECOND = 1_000_000_000;
    private static final long GIB = 1L << 30;

    @Test
    void nothingIsShownWhileTheTotalIsUnknown() {
        assertThat(new ProgressMeter(0).show(SECOND)).isEmpty();
    }

    @Test
    void theRateIsThatOfTheLastInterval() {
        ProgressMeter meter = new ProgressMeter(0);
        meter.report(GIB, 4 * GIB);
        assertThat(meter.show(SECOND)).contains(new Progress(4 * GIB, GIB, 25, GIB, 3L, "25% of 4.0 GiB", "1.0 GiB/s"));
        meter.report(3 * GIB, 4 * GIB);
        assertThat(meter.show(5 * SECOND).orElseThrow().bytesPerSecond()).isEqualTo(GIB / 2);
    }

    @Test
    void whatStandsStillHasNoEnd() {
        ProgressMeter meter = new ProgressMeter(0);
        meter.report(0, 100L << 20);
        Progress shown = meter.show(SECOND).orElseThrow();
        assertThat(shown.secondsLeft()).isNull();
        assertThat(shown.summary()).isEqualTo("0% of 100 MiB");
    }
}
