package dev.torpor.operator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.torpor.telemetry.log.LogSettings;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class OperatorConfigTest {
    @Test
    void nothingSaidIsTheUsualInstallation() throws Exception {
        assertThat(OperatorConfig.parse(List.of(), Map.of("HOSTNAME", "operator-abc"), 7))
                .isEqualTo(new OperatorConfig("torpor-system", true, "operator-abc-7", 0, LogSettings.DEFAULT));
    }

    @Test
    void argumentsWinOverTheEnvironment() throws Exception {
        assertThat(OperatorConfig.parse(
                        List.of(
                                "--namespace",
                                "other",
                                "--no-leader-election",
                                "--identity",
                                "me",
                                "--http-port",
                                "8080"),
                        Map.of("TORPOR_NAMESPACE", "elsewhere", "TORPOR_HTTP_PORT", "1"),
                        7))
                .isEqualTo(new OperatorConfig("other", false, "me", 8080, LogSettings.DEFAULT));
        assertThat(OperatorConfig.parse(List.of(), Map.of("TORPOR_NAMESPACE", "elsewhere"), 7)
                        .namespace())
                .isEqualTo("elsewhere");
    }

    @Test
    void allProblemsAreReportedTogether() {
        assertThatThrownBy(() -> OperatorConfig.parse(
                        List.of("--colour", "--namespace", "Not_A_Name", "--identity"),
                        Map.of("TORPOR_HTTP_PORT", "65536", "TORPOR_LOG_FORMAT", "xml"),
                        7))
                .isInstanceOf(OperatorConfig.BadConfigException.class)
                .hasMessage(String.join(
                        System.lineSeparator(),
                        "unknown argument --colour",
                        "--identity lacks its value",
                        "'Not_A_Name' is not the name of a namespace",
                        "'65536' is not a port: give 1 to 65535, or 0 for none",
                        "TORPOR_LOG_FORMAT is 'xml': give one of text, json"));
    }
}
