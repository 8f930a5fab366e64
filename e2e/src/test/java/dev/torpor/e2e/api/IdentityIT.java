package dev.torpor.e2e.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.cluster.ControlPlane;
import dev.torpor.e2e.cluster.Kubectl;
import io.fabric8.kubernetes.api.model.Pod;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.UUID;
import org.assertj.core.api.ThrowingConsumer;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Nobody gets hold of what Torpor trusts: its service accounts, the recorded manifests, the mark of a restored pod. Tried
 * by an administrator, whom RBAC refuses nothing.
 */
@Tag("api")
@ExtendWith(InstalledChartExtension.class)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class IdentityIT {
    private static final Duration TIMEOUT = Duration.ofSeconds(60);
    private static final String MARK = "torpor.dev/restore-uid";

    private InstalledChart chart;
    private ControlPlane cluster;
    private Kubectl admin;
    private String namespace;

    @BeforeAll
    void connect(InstalledChart chart) {
        this.chart = chart;
        this.cluster = chart.cluster();
        this.admin = cluster.kubectl();
    }

    @BeforeEach
    void makeNamespace() {
        namespace = cluster.createNamespace("vms");
    }

    // Service accounts.

    @Test
    void controllersRunTheirPods() {
        assertThat(chart.agentPod(InstalledChart.NODE_1).getSpec().getServiceAccountName())
                .isEqualTo("torpor-agent");
        assertThat(chart.agentPod(InstalledChart.NODE_2).getSpec().getServiceAccountName())
                .isEqualTo("torpor-agent");
        assertThat(chart.operator()).isRegularFile();
    }

    @ParameterizedTest
    @ValueSource(strings = {"agent daemon-set", "operator replica-set"})
    void nobodyElseRunsAPodWithTheirServiceAccount(String accountAndController) {
        String account = "torpor-" + accountAndController.split(" ", 2)[0];

        assertThat(create(pod(InstalledChart.NAMESPACE, account, "{}")))
                .satisfies(refusedWith("may create pods with service account %s, not admin".formatted(account)));
    }

    @Test
    void noOtherControllerRunsAPodAsAnAgent() {
        admin.runWithInput("""
                apiVersion: apps/v1
                kind: ReplicaSet
                metadata: {name: fake, namespace: %s}
                spec:
                  selector: {matchLabels: {app: fake}}
                  template:
                    metadata: {labels: {app: fake}}
                    spec: {serviceAccountName: torpor-agent, containers: [{name: a, image: a}]}
                """.formatted(InstalledChart.NAMESPACE), "create", "-f", "-");
        try {
            await().atMost(TIMEOUT)
                    .untilAsserted(
                            () -> assertThat(cluster.kubectl(
                                            "get",
                                            "events",
                                            "-n",
                                            InstalledChart.NAMESPACE,
                                            "--field-selector=reason=FailedCreate"))
                                    .contains(
                                            "only system:serviceaccount:kube-system:daemon-set-controller may create pods with service"
                                                    + " account torpor-agent, not system:serviceaccount:kube-system:replicaset-controller"));
        } finally {
            cluster.kubectl("delete", "replicaset", "fake", "-n", InstalledChart.NAMESPACE);
        }
    }

    @Test
    void podsOfOthersAreNoBusinessOfOurs() {
        assertThat(create(pod(InstalledChart.NAMESPACE, "default", "{}"))).satisfies(IdentityIT::accepted);
        cluster.kubectl("create", "serviceaccount", "torpor-agent", "-n", namespace);
        assertThat(create(pod(namespace, "torpor-agent", "{}"))).satisfies(IdentityIT::accepted);
    }

    @ParameterizedTest
    @ValueSource(strings = {"torpor-agent", "torpor-operator"})
    void nobodyButAKubeletGetsTheirTokens(String account) {
        assertThat(admin.tryRun("create", "token", account, "-n", InstalledChart.NAMESPACE))
                .satisfies(refusedWith("only kubelets may ask for tokens of service account " + account));
        assertThat(create("""
                apiVersion: v1
                kind: Secret
                metadata:
                  name: forever
                  namespace: %s
                  annotations: {kubernetes.io/service-account.name: %s}
                type: kubernetes.io/service-account-token
                """.formatted(InstalledChart.NAMESPACE, account)))
                .satisfies(refusedWith("a token in a Secret has no end and names no node"));
    }

    @Test
    void aKubeletGetsTokensOfItsOwnPodsOnly() {
        Pod elsewhere = chart.agentPod(InstalledChart.NODE_2);
        Path kubelet = cluster.kubeconfigOfNode(InstalledChart.NODE_1);

        assertThat(chart.kubectlOf(kubelet)
                        .tryRun(
                                "create",
                                "token",
                                "torpor-agent",
                                "-n",
                                InstalledChart.NAMESPACE,
                                "--bound-object-kind=Pod",
                                "--bound-object-name=" + elsewhere.getMetadata().getName(),
                                "--bound-object-uid=" + elsewhere.getMetadata().getUid()))
                .satisfies(refusedWith("scheduled on a different node"));
    }

    // Recorded manifests.

    @Test
    void nobodyButTheOperatorRecordsAManifest() {
        String snapshot = snapshot("web");

        for (String name : List.of("torpor-" + snapshot, "torpor-" + snapshot + "-" + UUID.randomUUID())) {
            assertThat(create(revision(name, "")))
                    .satisfies(refusedWith("only torpor-operator records manifests of pods"));
        }
        assertThat(create(revision("mine", owner("web", snapshot))))
                .satisfies(refusedWith("only torpor-operator records manifests of pods"));
        assertThat(create(revision("mine", ""))).satisfies(IdentityIT::accepted);
        assertThat(admin.tryRun(
                        "patch",
                        "controllerrevision",
                        "mine",
                        "-n",
                        namespace,
                        "--type=merge",
                        "-p",
                        "{\"metadata\":%s}".formatted(ownerJson("web", snapshot))))
                .satisfies(refusedWith("only torpor-operator may make a ControllerRevision the recorded manifest"));
        assertThat(chart.kubectlOf(chart.operator())
                        .tryWithInput(
                                revision("torpor-" + snapshot + "-" + UUID.randomUUID(), owner("web", snapshot)),
                                "create",
                                "--validate=false",
                                "-f",
                                "-"))
                .satisfies(IdentityIT::accepted);
    }

    @Test
    void theGarbageCollectorMayTakeTheOwnerAway() {
        String snapshot = snapshot("web");
        String name = "torpor-" + snapshot + "-" + UUID.randomUUID();
        chart.kubectlOf(chart.operator())
                .runWithInput(revision(name, owner("web", snapshot)), "create", "--validate=false", "-f", "-");

        cluster.kubectl("delete", "vmsnapshot", "web", "-n", namespace, "--cascade=orphan");

        await().atMost(TIMEOUT).untilAsserted(() -> assertThat(cluster.kubectl(
                        "get", "controllerrevision", name, "-n", namespace, "-o=jsonpath={.metadata.ownerReferences}"))
                .isEmpty());
    }

    @Test
    void theStatefulSetOfAVmHasItsOwnRevisions() {
        admin.runWithInput("""
                apiVersion: apps/v1
                kind: StatefulSet
                metadata: {name: torpor-web, namespace: %s}
                spec:
                  selector: {matchLabels: {torpor.dev/vm: web}}
                  serviceName: web
                  template:
                    metadata: {labels: {torpor.dev/vm: web}}
                    spec: {containers: [{name: a, image: a}]}
                """.formatted(namespace), "create", "-f", "-");

        await().atMost(TIMEOUT).untilAsserted(() -> assertThat(cluster.client()
                        .apps()
                        .controllerRevisions()
                        .inNamespace(namespace)
                        .withLabel("torpor.dev/vm", "web")
                        .list()
                        .getItems())
                .hasSize(1));
    }

    // The mark of a restored pod.

    @Test
    void nobodyButTheOperatorMarksAPodAsRestored() {
        String refusal = "only torpor-operator marks pods with the annotation torpor.dev/restore-uid";

        assertThat(create(pod(namespace, "default", "{torpor.dev/restore-uid: forged}")))
                .satisfies(refusedWith(refusal));
        assertThat(create(pod(namespace, "default", "{}"))).satisfies(IdentityIT::accepted);
        assertThat(annotate(MARK + "=forged")).satisfies(refusedWith(refusal));
        assertThat(annotate("other=mine")).satisfies(IdentityIT::accepted);
    }

    @Test
    void aMarkedPodMayBeChangedOtherwise() {
        chart.kubectlOf(chart.operator())
                .runWithInput(
                        pod(namespace, "default", "{torpor.dev/restore-uid: one}"),
                        "create",
                        "--validate=false",
                        "-f",
                        "-");

        assertThat(annotate("other=mine")).satisfies(IdentityIT::accepted);
        assertThat(annotate(MARK + "=another")).satisfies(refusedWith("only torpor-operator marks pods"));
        assertThat(annotate(MARK + "-")).satisfies(IdentityIT::accepted);
    }

    private Kubectl.Result annotate(String change) {
        return admin.tryRun("annotate", "--overwrite", "pod", "mine", "-n", namespace, change);
    }

    private Kubectl.Result create(String manifest) {
        return admin.tryWithInput(manifest, "create", "-f", "-");
    }

    private static String pod(String namespace, String account, String annotations) {
        return """
                apiVersion: v1
                kind: Pod
                metadata:
                  name: mine
                  namespace: %s
                  labels: {torpor.dev/vm: web}
                  annotations: %s
                spec: {serviceAccountName: %s, containers: [{name: a, image: a}]}
                """.formatted(namespace, annotations, account);
    }

    /** Returns the UID. */
    private String snapshot(String name) {
        admin.runWithInput("""
                apiVersion: torpor.dev/v1alpha1
                kind: VMSnapshot
                metadata: {name: %s, namespace: %s}
                spec: {vmName: web, mode: Checkpoint}
                """.formatted(name, namespace), "create", "-f", "-");
        return cluster.kubectl("get", "vmsnapshot", name, "-n", namespace, "-o=jsonpath={.metadata.uid}");
    }

    private String revision(String name, String owner) {
        return """
                apiVersion: apps/v1
                kind: ControllerRevision
                metadata:
                  name: %s
                  namespace: %s
                %s
                revision: 1
                data: {pod: {}}
                """.formatted(name, namespace, owner);
    }

    private static String owner(String name, String uid) {
        return "  ownerReferences: [{apiVersion: torpor.dev/v1alpha1, kind: VMSnapshot, name: %s, uid: %s}]"
                .formatted(name, uid);
    }

    private static String ownerJson(String name, String uid) {
        return "{\"ownerReferences\":[{\"apiVersion\":\"torpor.dev/v1alpha1\",\"kind\":\"VMSnapshot\",\"name\":\"%s\",\"uid\":\"%s\"}]}"
                .formatted(name, uid);
    }

    private static void accepted(Kubectl.Result result) {
        assertThat(result.code()).as(result.output()).isZero();
    }

    private static ThrowingConsumer<Kubectl.Result> refusedWith(String message) {
        return result -> {
            assertThat(result.output()).contains(message);
            assertThat(result.code()).isNotZero();
        };
    }
}
