package dev.torpor.e2e.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.cluster.ControlPlane;
import dev.torpor.e2e.cluster.Helm;
import java.io.IOException;
import java.nio.file.Files;
import java.time.Duration;
import java.util.Arrays;
import java.util.Base64;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;

/** The life of a release: what the operator wrote into the chart's objects stays, and what people made outlives it. */
@Tag("api")
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class ChartUpgradeIT {
    private static final String NAMESPACE = InstalledChart.NAMESPACE;

    private ControlPlane cluster;

    @BeforeAll
    void startApiServer() {
        cluster = ControlPlane.start(ControlPlane.Options.API_ONLY);
    }

    @AfterAll
    void stop() {
        cluster.close();
    }

    @BeforeEach
    void install() {
        assertThat(helm("upgrade", "--install", "torpor", Helm.chart(), "--create-namespace"))
                .contains("Torpor 0.1.0 is installed in namespace torpor-system");
    }

    private String helm(String... arguments) {
        return cluster.helm().run(append(arguments, "--namespace=" + NAMESPACE));
    }

    private static String[] append(String[] arguments, String last) {
        String[] all = Arrays.copyOf(arguments, arguments.length + 1);
        all[arguments.length] = last;
        return all;
    }

    @Test
    void theCertificateAuthorityOfTheWebhooksStays() throws IOException {
        // The API server takes none but a certificate; its own will do.
        String authority = Base64.getEncoder()
                .encodeToString(Files.readAllBytes(cluster.directory().resolve("pki/apiserver.crt")));
        for (String kind : new String[] {"mutatingwebhookconfiguration", "validatingwebhookconfiguration"}) {
            cluster.kubectl(
                    "patch",
                    kind,
                    "torpor",
                    "--type=json",
                    "-p",
                    "[{\"op\":\"add\",\"path\":\"/webhooks/0/clientConfig/caBundle\",\"value\":\"%s\"}]"
                            .formatted(authority));
        }
        String before = bundles();
        assertThat(before).isNotBlank();

        helm("upgrade", "torpor", Helm.chart(), "--set=webhook.timeoutSeconds=7", "--set=operator.replicas=3");
        assertThat(cluster.kubectl(
                        "get", "mutatingwebhookconfiguration", "torpor", "-o=jsonpath={.webhooks[0].timeoutSeconds}"))
                .isEqualTo("7");
        assertThat(bundles()).isEqualTo(before);

        helm("rollback", "torpor", "1");
        assertThat(bundles()).isEqualTo(before);
    }

    private String bundles() {
        return cluster.kubectl(
                "get",
                "mutatingwebhookconfiguration,validatingwebhookconfiguration",
                "-o=jsonpath={.items[*].webhooks[*].clientConfig.caBundle}");
    }

    @Test
    void definitionsAreUpgradedByTheCommandThatTheChartTells() {
        String crds = cluster.helm().run("show", "crds", Helm.chart());
        String newer = crds.replace("What to save, and how.", "What to save, and how, told anew.")
                .replace("What the node's agent tells of its store.", "What it tells anew.");

        cluster.kubectl().runWithInput(newer, "apply", "--server-side", "--force-conflicts", "-f", "-");

        assertThat(cluster.kubectl("get", "crd", "vmsnapshots.torpor.dev", "-o=yaml"))
                .contains("told anew");
        assertThat(cluster.kubectl("get", "crd", "nodestores.torpor.dev", "-o=yaml"))
                .as("the first of them, as the last")
                .contains("tells anew");
        helm("upgrade", "torpor", Helm.chart());
        assertThat(cluster.kubectl("get", "crd", "vmsnapshots.torpor.dev", "-o=yaml"))
                .as("Helm leaves CRDs alone")
                .contains("told anew");
    }

    @Test
    void definitionsAreManagedApartFromTheStart() {
        helm("uninstall", "torpor", "--no-hooks");
        deleteDefinitions();

        helm("install", "torpor", Helm.chart(), "--create-namespace", "--skip-crds");
        assertThat(definitions()).as("Helm was told to skip them").isEmpty();

        String crds = cluster.helm().run("show", "crds", Helm.chart());
        cluster.kubectl().runWithInput(crds, "apply", "--server-side", "-f", "-");
        assertThat(definitions()).contains("nodestores", "vmrestores", "vmsnapshotclasses", "vmsnapshots");
        // They are not Helm's, so that nothing has to be forced later.
        String newer = crds.replace("What to save, and how.", "What to save, and how, told anew.");
        cluster.kubectl().runWithInput(newer, "apply", "--server-side", "-f", "-");
        helm("upgrade", "torpor", Helm.chart(), "--skip-crds");
        assertThat(cluster.kubectl("get", "crd", "vmsnapshots.torpor.dev", "-o=yaml"))
                .contains("told anew");
    }

    /**
     * The API server (1.34) forgets a definition that is deleted just after it was changed, if its storage was not ready to
     * be listed ({@code InstanceDeletionFailed}): it looks again in five minutes, or when somebody writes to it.
     */
    private void deleteDefinitions() {
        cluster.kubectl()
                .runWithInput(cluster.helm().run("show", "crds", Helm.chart()), "delete", "--wait=false", "-f", "-");
        await("definitions that are gone")
                .atMost(Duration.ofMinutes(2))
                .pollInterval(Duration.ofSeconds(2))
                .until(() -> {
                    String left = definitions();
                    if (left.isEmpty()) {
                        return true;
                    }
                    for (String plural : left.split(" ", -1)) { // each may be gone by now
                        cluster.kubectl()
                                .tryRun(
                                        "label",
                                        "crd",
                                        plural + ".torpor.dev",
                                        "--overwrite",
                                        "looked-at=" + System.nanoTime());
                    }
                    return false;
                });
    }

    private String definitions() {
        return cluster.kubectl("get", "crds", "-o=jsonpath={.items[?(@.spec.group=='torpor.dev')].spec.names.plural}");
    }

    @Test
    void snapshotsOutliveTheRelease() {
        cluster.kubectl().runWithInput("""
                apiVersion: torpor.dev/v1alpha1
                kind: VMSnapshot
                metadata: {name: kept, namespace: default}
                spec: {vmName: web}
                """, "create", "-f", "-");

        // No kubelet runs the Job that asks before: the node tier shows what it does.
        helm("uninstall", "torpor", "--no-hooks");

        assertThat(cluster.kubectl("get", "vmsnap", "-n", "default")).contains("kept");
        assertThat(cluster.kubectl(
                        "get",
                        "mutatingwebhookconfigurations,validatingwebhookconfigurations,validatingadmissionpolicies,"
                                + "validatingadmissionpolicybindings,clusterroles,clusterrolebindings",
                        "-l=app.kubernetes.io/part-of=torpor"))
                .contains("No resources found");
        install();
        assertThat(cluster.kubectl("get", "vmsnap", "-n", "default")).contains("kept");
    }
}
