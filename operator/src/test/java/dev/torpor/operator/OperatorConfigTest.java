package dev.torpor.operator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.torpor.operator.webhook.WebhookOptions;
import dev.torpor.telemetry.log.LogSettings;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;

class OperatorConfigTest {
    @Test
    void nothingSaidIsTheUsualInstallation() throws Exception {
        assertThat(OperatorConfig.parse(List.of(), Map.of("HOSTNAME", "operator-abc"), 7))
                .isEqualTo(new OperatorConfig(
                        "torpor-system", true, "operator-abc-7", 0, LogSettings.DEFAULT, Optional.empty()));
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
                .isEqualTo(new OperatorConfig("other", false, "me", 8080, LogSettings.DEFAULT, Optional.empty()));
        assertThat(OperatorConfig.parse(List.of(), Map.of("TORPOR_NAMESPACE", "elsewhere"), 7)
                        .namespace())
                .isEqualTo("elsewhere");
    }

    @Test
    void webhookIsServedWhenItHasAPort() throws Exception {
        assertThat(OperatorConfig.parse(
                                List.of(
                                        "--webhook-port", "9443",
                                        "--launcher-image", "launcher:1",
                                        "--webhook-service", "hook",
                                        "--webhook-cert-dir", "/certs",
                                        "--image-folder", "/var/lib/torpor",
                                        "--readiness-gate", "true",
                                        "--excluded-namespaces", "kube-system,vm-saver,vm-saver"),
                                Map.of(),
                                7)
                        .webhook())
                .contains(new WebhookOptions(
                        9443,
                        "hook",
                        Optional.of(Path.of("/certs")),
                        "launcher:1",
                        Optional.of("/var/lib/torpor"),
                        true,
                        Set.of("kube-system", "vm-saver")));
        assertThat(OperatorConfig.parse(
                                List.of(
                                        "--webhook-port",
                                        "9443",
                                        "--launcher-image",
                                        "launcher:1",
                                        "--image-folder",
                                        ""),
                                Map.of(),
                                7)
                        .webhook())
                .contains(new WebhookOptions(
                        9443, "torpor-webhook", Optional.empty(), "launcher:1", Optional.empty(), false, Set.of()));
    }

    @Test
    void webhookIsJudgedWithTheRest() {
        assertThatThrownBy(() -> OperatorConfig.parse(
                        List.of(
                                "--webhook-port",
                                "9443",
                                "--webhook-service",
                                "Hook.",
                                "--image-folder",
                                "/var/../etc",
                                "--readiness-gate",
                                "maybe",
                                "--excluded-namespaces",
                                "one,Two",
                                "--webhook-cert-dir"),
                        Map.of(),
                        7))
                .hasMessage(String.join(
                        System.lineSeparator(),
                        "--webhook-cert-dir lacks its value",
                        "'Hook.' is not the name of a Service",
                        "--image-folder '/var/../etc' is not an absolute path without . and .. and a slash at its end",
                        "--readiness-gate 'maybe' is neither true nor false",
                        "--excluded-namespaces: 'Two' is not the name of a namespace",
                        "--launcher-image is needed with --webhook-port"));
        assertThatThrownBy(() -> OperatorConfig.parse(List.of("--webhook-port", "70000"), Map.of(), 7))
                .hasMessage("--webhook-port '70000' is not a port: 0 (no webhook) to 65535");
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
