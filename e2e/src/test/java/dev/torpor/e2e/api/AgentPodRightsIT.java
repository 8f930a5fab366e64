package dev.torpor.e2e.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.groups.Tuple.tuple;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.e2e.cluster.ControlPlane;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.PodCondition;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import java.nio.file.Path;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Of pods an agent may say one thing: whether the guest of a VM on its node runs. */
@Tag("api")
@ExtendWith(InstalledChartExtension.class)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class AgentPodRightsIT {
    private static final String RUNNING = """
            {"status":{"conditions":[{"type":"torpor.dev/guest-running","status":"True","reason":"Running","message":"the guest runs"}]}}""";

    private InstalledChart chart;
    private ControlPlane cluster;
    private String namespace;

    @BeforeAll
    void connect(InstalledChart chart) {
        this.chart = chart;
        this.cluster = chart.cluster();
    }

    @BeforeEach
    void makePods() {
        namespace = cluster.createNamespace("vms");
        make("vm", InstalledChart.NODE_1, Map.of(Torpor.VM_LABEL, "web"));
        make("elsewhere", InstalledChart.NODE_2, Map.of(Torpor.VM_LABEL, "db"));
        make("other", InstalledChart.NODE_1, Map.of("app", "web"));
    }

    @Test
    void saysWhetherTheGuestOfAVmOnItsNodeRuns() {
        assertThat(refusal(InstalledChart.NODE_1, "vm", RUNNING)).isEmpty();
        assertThat(refusal(InstalledChart.NODE_1, "vm", RUNNING.replace("True", "False")))
                .isEmpty();

        assertThat(live("vm").getStatus().getConditions())
                .extracting(PodCondition::getType, PodCondition::getStatus)
                .contains(tuple(Torpor.GUEST_RUNNING, "False"), tuple("Ready", "False"));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "n1|elsewhere|the agent of node n1 may not touch pod elsewhere, which is on node n2",
                "n2|vm|the agent of node n2 may not touch pod vm, which is on node n1",
                "n1|other|pod other is no VM: an agent may not touch it",
            })
    void mayNotTouchOtherPods(String node, String pod, String expected) {
        assertThat(refusal(node, pod, RUNNING)).contains(expected);
    }

    @Test
    void mayNotWriteWithATokenThatNamesNoNode() {
        assertThat(refusal(chart.unboundAgent(), "vm", RUNNING)).contains("this token of torpor-agent names no node");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "phase|\"Failed\"",
                "message|\"lost\"",
                "reason|\"Evicted\"",
                "hostIP|\"192.0.2.7\"",
                "podIP|\"192.0.2.7\"",
                "startTime|\"2020-01-01T00:00:00Z\"",
                "containerStatuses|[{\"name\":\"a\",\"ready\":true,\"restartCount\":0,\"image\":\"a\",\"imageID\":\"a\"}]",
            })
    void mayNotChangeAnythingElseOfStatus(String field, String value) {
        String before = statusOf("vm");

        assertThat(refusal(InstalledChart.NODE_1, "vm", "{\"status\":{\"%s\":%s}}".formatted(field, value)))
                .contains("of a pod's status an agent may change nothing but its conditions");
        assertThat(statusOf("vm")).isEqualTo(before);
    }

    @ParameterizedTest
    @CsvSource({"Ready,True", "ContainersReady,True", "DisruptionTarget,True"})
    void mayNotWriteAnyOtherCondition(String type, String status) {
        String patch = "{\"status\":{\"conditions\":[{\"type\":\"%s\",\"status\":\"%s\"}]}}".formatted(type, status);

        assertThat(refusal(InstalledChart.NODE_1, "vm", patch))
                .contains("of a pod's conditions an agent may only change torpor.dev/guest-running");
    }

    @Test
    void mayNotRemoveAConditionOfTheKubelet() {
        assertThat(refusal(
                        InstalledChart.NODE_1,
                        "vm",
                        "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"$patch\":\"delete\"}]}}"))
                .contains("of a pod's conditions an agent may only change torpor.dev/guest-running");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "{\"metadata\":{\"labels\":{\"torpor.dev/vm\":\"other\"}}}",
                "{\"metadata\":{\"annotations\":{\"torpor.dev/restore-uid\":\"forged\"}}}",
                "{\"metadata\":{\"finalizers\":[\"example.com/mine\"]}}"
            })
    void mayNotChangeThePodItselfByWayOfItsStatus(String patch) {
        assertThat(refusal(InstalledChart.NODE_1, "vm", patch))
                .contains("an agent may not change labels, annotations and finalizers of a pod");
    }

    @Test
    void mayNotRemoveAFieldOfStatus() {
        assertThat(refusal(InstalledChart.NODE_1, "vm", "{\"status\":{\"phase\":null}}"))
                .contains("of a pod's status an agent may change nothing but its conditions");
    }

    @Test
    void mayDoNothingElseToPodsEvenIfItHadTheRight() throws Exception {
        try (AutoCloseable _ = chart.allRightsToAgents()) {
            var mighty = chart.kubectlOf(chart.agentOf(InstalledChart.NODE_1));
            String expected = "an agent may not create, change or delete pods";
            assertThat(mighty.tryRun("delete", "pod", "vm", "-n", namespace).output())
                    .contains(expected);
            assertThat(mighty.tryRun("label", "pod", "vm", "-n", namespace, "a=b")
                            .output())
                    .contains(expected);
            assertThat(mighty.tryRun("run", "mine", "-n", namespace, "--image=a")
                            .output())
                    .contains(expected);
        }
    }

    private void make(String name, String node, Map<String, String> labels) {
        cluster.client()
                .resource(new PodBuilder()
                        .withNewMetadata()
                        .withNamespace(namespace)
                        .withName(name)
                        .withLabels(labels)
                        .endMetadata()
                        .withNewSpec()
                        .withNodeName(node)
                        .withAutomountServiceAccountToken(false)
                        .addNewContainer()
                        .withName("a")
                        .withImage("a")
                        .endContainer()
                        .addNewReadinessGate(Torpor.GUEST_RUNNING)
                        .endSpec()
                        .build())
                .create();
        cluster.client().pods().inNamespace(namespace).withName(name).editStatus(pod -> new PodBuilder(pod)
                .editStatus()
                .addNewCondition()
                .withType("Ready")
                .withStatus("False")
                .withReason("ReadinessGatesNotReady")
                .endCondition()
                .endStatus()
                .build());
    }

    private Pod live(String name) {
        return Objects.requireNonNull(
                cluster.client().pods().inNamespace(namespace).withName(name).get());
    }

    private String statusOf(String name) {
        return cluster.client().getKubernetesSerialization().asJson(live(name).getStatus());
    }

    private String refusal(String node, String pod, String patch) {
        return refusal(chart.agentOf(node), pod, patch);
    }

    /** Patches a pod's status as an agent does, and returns why that was refused; empty if it was not. */
    private String refusal(Path kubeconfig, String pod, String patch) {
        try (KubernetesClient agent = cluster.connect(kubeconfig)) {
            agent.pods()
                    .inNamespace(namespace)
                    .withName(pod)
                    .subresource("status")
                    .patch(PatchContext.of(PatchType.STRATEGIC_MERGE), patch);
            return "";
        } catch (KubernetesClientException e) {
            assertThat(e.getCode()).as(e.getMessage()).isEqualTo(403);
            return String.valueOf(e.getMessage());
        }
    }
}
