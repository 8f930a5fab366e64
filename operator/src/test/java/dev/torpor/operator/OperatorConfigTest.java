package dev.torpor.operator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class OperatorConfigTest {
    @Test
    void nothingSaidIsTheUsualInstallation() throws Exception {
        assertThat(OperatorConfig.parse(List.of(), Map.of("HOSTNAME", "operator-abc"), 7))
                .isEqualTo(new OperatorConfig("torpor-system", true, "operator-abc-7"));
    }

    @Test
    void argumentsWinOverTheEnvironment() throws Exception {
        assertThat(OperatorConfig.parse(
                        List.of("--namespace", "other", "--no-leader-election", "--identity", "me"),
                        Map.of("TORPOR_NAMESPACE", "elsewhere"),
                        7))
                .isEqualTo(new OperatorConfig("other", false, "me"));
        assertThat(OperatorConfig.parse(List.of(), Map.of("TORPOR_NAMESPACE", "elsewhere"), 7)
                        .namespace())
                .isEqualTo("elsewhere");
    }

    @Test
    void allProblemsAreReportedTogether() {
        assertThatThrownBy(() -> OperatorConfig.parse(
                        List.of("--colour", "--namespace", "Not_A_Name", "--identity"), Map.of(), 7))
                .isInstanceOf(OperatorConfig.BadConfigException.class)
                .hasMessage(String.join(
                        System.lineSeparator(),
                        "unknown argument --colour",
                        "--identity lacks its value",
                        "'Not_A_Name' is not the name of a namespace"));
    }
}
