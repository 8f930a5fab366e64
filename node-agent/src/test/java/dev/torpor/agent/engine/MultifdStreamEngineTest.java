package dev.torpor.agent.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.torpor.agent.image.ChannelLayout;
import dev.torpor.agent.image.Compression;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class MultifdStreamEngineTest {
    /** 7000 bytes came over three channels beside the main one. */
    private static final ChannelLayout CAME =
            new ChannelLayout(Compression.NONE, List.of(123_456L, 5000L, 1500L, 500L), 0);

    /** Since QEMU 5.0, which has that parameter, it counts what it sends; with heads since 8.1, and on from save to save before. */
    @ParameterizedTest
    @CsvSource({"7000, 0", "10000, 3000", "6808, 0", "9808, 3000"})
    void whatQemuSaysItSentHasCome(long sent, long sentBefore) {
        assertThatCode(() -> MultifdStreamEngine.requireAllOf(sent, sentBefore, CAME, settings(true)))
                .doesNotThrowAnyException();
    }

    @ParameterizedTest
    @CsvSource({"7001, 0", "6999, 0", "0, 0", "7064, 0", "6936, 0", "10001, 3000", "8000, 0", "6000, 0"})
    void anImageThatHasMoreOrLessOfThatIsNone(long sent, long sentBefore) {
        TorporException e = catchThrowableOfType(
                TorporException.class, () -> MultifdStreamEngine.requireAllOf(sent, sentBefore, CAME, settings(true)));
        assertThat(e.reason()).isEqualTo(FailureReason.SaveFailed);
        assertThat(e).hasMessage("QEMU says that it sent " + sent + " bytes over its channels, and 7000 came");
    }

    /** QEMU 4 sends some pages twice and counts them once: more is honest there, less is not. */
    @ParameterizedTest
    @CsvSource({"7000, true", "6500, true", "7001, false"})
    void ofAnOldQemuAtLeastThatMuchHasCome(long sent, boolean all) {
        assertThat(catchThrowableOfType(
                                TorporException.class,
                                () -> MultifdStreamEngine.requireAllOf(sent, 0, CAME, settings(false)))
                        == null)
                .isEqualTo(all);
    }

    private static MigrationSettings settings(boolean compresses) {
        return MigrationSettings.fromNote("{\"capabilities\": {}, \"parameters\": {"
                        + (compresses ? "\"multifd-compression\": \"none\"" : "") + "}}")
                .orElseThrow();
    }
}
