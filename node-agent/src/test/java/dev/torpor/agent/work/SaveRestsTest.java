package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import org.junit.jupiter.api.Test;

class SaveRestsTest {
    private static final String UID = "11111111-2222-3333-4444-555555555555";
    private static final long NOW = Long.MAX_VALUE - 5; // a clock that wraps

    private final SaveRests rests = new SaveRests();

    @Test
    void aSaveThatNeverFailedInThePauseWaitsForNothing() {
        assertThat(rests.left(UID, NOW)).isEmpty();
    }

    @Test
    void theGuestIsLetRunLongerEachTime() {
        for (long seconds : new long[] {2, 4, 8, 16, 32, 60, 60}) {
            rests.pausedInVain(UID, NOW);
            assertThat(rests.left(UID, NOW)).contains(Duration.ofSeconds(seconds));
            assertThat(rests.left(UID, NOW + Duration.ofSeconds(seconds).toNanos() - 1))
                    .contains(Duration.ofNanos(1));
            assertThat(rests.left(UID, NOW + Duration.ofSeconds(seconds).toNanos()))
                    .isEmpty();
        }
        for (int n = 0; n < 100; n++) {
            rests.pausedInVain(UID, NOW);
        }
        assertThat(rests.left(UID, NOW)).contains(Duration.ofMinutes(1));
    }

    @Test
    void whatIsOverIsForgotten() {
        rests.pausedInVain(UID, NOW);
        rests.forget(UID);
        assertThat(rests.left(UID, NOW)).isEmpty();
        rests.pausedInVain(UID, NOW);
        assertThat(rests.left(UID, NOW)).contains(Duration.ofSeconds(2));
    }
}
