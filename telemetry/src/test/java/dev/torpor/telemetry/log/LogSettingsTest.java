package dev.torpor.telemetry.log;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class LogSettingsTest {
    private final List<String> problems = new ArrayList<>();

    @Test
    void whatIsNotSetIsTextAtInfo() {
        assertThat(LogSettings.parse(Map.of("TORPOR_LOG_LEVEL", ""), problems::add))
                .isEqualTo(new LogSettings(LogSettings.Format.TEXT, LogSettings.Level.INFO));
        assertThat(problems).isEmpty();
    }

    @Test
    void valuesAreReadInEitherCase() {
        assertThat(LogSettings.parse(Map.of("TORPOR_LOG_FORMAT", "json", "TORPOR_LOG_LEVEL", "Debug"), problems::add))
                .isEqualTo(new LogSettings(LogSettings.Format.JSON, LogSettings.Level.DEBUG));
        assertThat(problems).isEmpty();
    }

    @Test
    void wrongValuesAreAllNamedWithWhatIsRight() {
        LogSettings settings =
                LogSettings.parse(Map.of("TORPOR_LOG_FORMAT", "xml", "TORPOR_LOG_LEVEL", "loud"), problems::add);
        assertThat(settings).isEqualTo(LogSettings.DEFAULT);
        assertThat(problems)
                .containsExactly(
                        "TORPOR_LOG_FORMAT is 'xml': give one of text, json",
                        "TORPOR_LOG_LEVEL is 'loud': give one of error, warn, info, debug");
    }
}
