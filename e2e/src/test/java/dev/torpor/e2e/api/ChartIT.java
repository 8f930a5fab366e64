package dev.torpor.e2e.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.cluster.ControlPlane;
import dev.torpor.e2e.cluster.Helm;
import dev.torpor.e2e.cluster.Kubectl;
import io.fabric8.kubernetes.api.model.admissionregistration.v1.ValidatingAdmissionPolicy;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** The chart as Helm, its own unit tests and a real API server see it. */
@Tag("api")
@ExtendWith(InstalledChartExtension.class)
class ChartIT {
    @Test
    void lintFindsNothing(InstalledChart chart) {
        assertThat(chart.cluster().helm().run("lint", "--strict", Helm.chart())).contains("0 chart(s) failed");
    }

    @Test
    void itsUnitTestsPass() {
        Kubectl.Result result = Helm.unitTests();

        assertThat(result.code()).as(result.output()).isZero();
        assertThat(result.output()).containsPattern("Tests: +[1-9][0-9]+ passed, [0-9]+ total");
    }

    @Test
    void everyValueIsDescribed() throws IOException {
        List<String> lines = Files.readAllLines(Path.of(Helm.chart(), "values.yaml"));
        for (int i = 1; i < lines.size(); i++) {
            String line = lines.get(i);
            // A value of a section, not the section, nor a line of a comment or of a value's own content.
            boolean top = line.matches("[A-Za-z]+: .+");
            boolean inSection = line.matches(" {2}(  )?[A-Za-z]+:( .+)?") && !isContent(lines, i);
            if (top || (inSection && !line.endsWith(":"))) {
                assertThat(lines.get(i - 1).strip()).as("line above '%s'", line).startsWith("#");
            }
        }
    }

    // Below these keys stands what Kubernetes documents.
    private static boolean isContent(List<String> lines, int at) {
        int indent = lines.get(at).length() - lines.get(at).stripLeading().length();
        for (int i = at - 1; i >= 0; i--) {
            String line = lines.get(i);
            if (!line.isBlank() && line.length() - line.stripLeading().length() < indent) {
                return line.strip()
                        .matches("(requests|limits|resources|nodeSelector|updateStrategy|rollingUpdate|seccompProfile"
                                + "|appArmorProfile|podCreators|- .*):?");
            }
        }
        return false;
    }

    @Test
    void theApiServerTakesEveryObjectOfTheChart(InstalledChart chart) {
        ControlPlane cluster = chart.cluster();
        String rendered = cluster.helm()
                .run(
                        "template",
                        "torpor",
                        Helm.chart(),
                        "--namespace=" + InstalledChart.NAMESPACE,
                        "--set=defaultClass.create=true",
                        "--set=agent.security.seLinuxOptions.type=spc_t",
                        "--set=networkPolicy.httpFrom[0].podSelector.matchLabels.app=scraper");

        String answer = cluster.kubectl()
                .runWithInput(
                        rendered,
                        "apply",
                        "--server-side",
                        "--force-conflicts",
                        "--dry-run=server",
                        "--validate=strict",
                        "-f",
                        "-");

        assertThat(answer)
                .contains(
                        "deployment.apps/torpor-operator serverside-applied (server dry run)",
                        "daemonset.apps/torpor-agent serverside-applied (server dry run)",
                        "mutatingwebhookconfiguration.admissionregistration.k8s.io/torpor serverside-applied (server dry run)",
                        "validatingwebhookconfiguration.admissionregistration.k8s.io/torpor serverside-applied (server dry run)",
                        "vmsnapshotclass.torpor.dev/default serverside-applied (server dry run)")
                .doesNotContain("Warning");
    }

    @Test
    void theApiServerFindsNoFaultInThePolicies(InstalledChart chart) {
        List<ValidatingAdmissionPolicy> policies = chart.policies();

        assertThat(policies).hasSize(16).allSatisfy(policy -> assertThat(
                        policy.getStatus().getTypeChecking() == null
                                ? List.of()
                                : policy.getStatus().getTypeChecking().getExpressionWarnings())
                .as(policy.getMetadata().getName())
                .isEmpty());
    }

    @Test
    void agentsAreOnEveryNode(InstalledChart chart) {
        await().atMost(Duration.ofMinutes(1)).untilAsserted(() -> assertThat(chart.cluster()
                        .kubectl(
                                "get",
                                "daemonset",
                                "torpor-agent",
                                "-n",
                                InstalledChart.NAMESPACE,
                                "-o=jsonpath={.status.currentNumberScheduled}"))
                .isEqualTo("2"));
    }
}
