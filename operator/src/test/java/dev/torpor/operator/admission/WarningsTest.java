package dev.torpor.operator.admission;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.v1alpha1.Torpor;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodTemplateSpec;
import io.fabric8.kubernetes.api.model.PodTemplateSpecBuilder;
import io.fabric8.kubernetes.api.model.Quantity;
import io.fabric8.kubernetes.api.model.apps.DaemonSetBuilder;
import io.fabric8.kubernetes.api.model.apps.DeploymentBuilder;
import io.fabric8.kubernetes.api.model.apps.StatefulSet;
import io.fabric8.kubernetes.api.model.apps.StatefulSetBuilder;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class WarningsTest {
    @Test
    void ordinaryPodGivesNoWarning() {
        assertThat(warnings(Requests.vmPod().build())).isEmpty();
    }

    @Test
    void probeThatGivesUpWithinThePauseIsNamedWithNumbers() {
        assertThat(warnings(probed("64G", 10, 3)))
                .containsExactly(
                        "VM pod web-pod: the liveness probe of container qemu gives up after 30 s (periodSeconds 10 × failureThreshold 3), but saving or loading 64 GiB pauses the guest for about 64 s at 1 GiB/s, and the kubelet would kill it. Set failureThreshold to 13 or more, or let a probe ask QEMU instead of the guest.");
    }

    @ParameterizedTest(name = "-m {0}, probe every {1} s, {2} failures: {3}")
    @CsvSource({
        "30G, 10, 3, 0",
        "31G, 10, 3, 1",
        "'size=40G,slots=2', 10, 3, 1",
        "40960, 10, 3, 1",
        "40960, 10, 9, 0",
        "nonsense, 10, 3, 0",
    })
    void pauseIsExpectedByTheMemoryOfTheCommandLine(String memory, int period, int failures, int warnings) {
        assertThat(warnings(probed(memory, period, failures))).hasSize(warnings);
    }

    @Test
    void memoryRequestCountsWhereTheCommandLineSaysNothing() {
        Pod pod = Requests.vmPod()
                .editSpec()
                .editFirstContainer()
                .withArgs("-machine", "pc-q35-10.0")
                .withNewResources()
                .addToRequests("memory", new Quantity("64Gi"))
                .endResources()
                .withNewStartupProbe()
                .withPeriodSeconds(1)
                .withFailureThreshold(30)
                .endStartupProbe()
                .endContainer()
                .endSpec()
                .build();

        assertThat(warnings(pod)).singleElement().asString().contains("the startup probe of container qemu", "30 s");
    }

    @ParameterizedTest(name = "-machine {0}: {1}")
    @CsvSource({"q35, 1", "pc-q35-10.0, 0", "'pc-i440fx-9.2,accel=kvm', 0", "'q35,accel=kvm', 1", "microvm, 0"})
    void machineTypeWithoutVersionIsNamed(String machine, int warnings) {
        Pod pod = Requests.vmPod()
                .editSpec()
                .editFirstContainer()
                .withArgs("-machine", machine)
                .endContainer()
                .endSpec()
                .build();

        assertThat(warnings(pod)).hasSize(warnings);
    }

    @Test
    void commandThatIsNoQemuIsNotJudged() {
        Pod pod = Requests.vmPod()
                .editSpec()
                .editFirstContainer()
                .withCommand("/start.sh")
                .withArgs()
                .endContainer()
                .endSpec()
                .build();

        assertThat(warnings(pod)).isEmpty();
    }

    @Test
    void optingOutIsWarnedOfWhatItCosts() {
        assertThat(warnings(PodRulesTest.annotated(Requests.vmPod(), Torpor.INJECT_ANNOTATION, "false")
                        .build()))
                .containsExactly(
                        "NotInjected: VM pod web-pod does not start QEMU through the launcher: its annotation torpor.dev/inject says so. Its VM cannot be saved (VMSnapshots fail with LauncherMissing).");
    }

    @Test
    void carefulStatefulSetGivesNoWarning() {
        assertThat(workload(statefulSet(1, "OnDelete", "OrderedReady"))).isEmpty();
        assertThat(workload(new StatefulSetBuilder(statefulSet(1, "RollingUpdate", "OrderedReady"))
                        .editSpec()
                        .editUpdateStrategy()
                        .withNewRollingUpdate()
                        .withPartition(1)
                        .endRollingUpdate()
                        .endUpdateStrategy()
                        .endSpec()
                        .build()))
                .isEmpty();
    }

    @Test
    void statefulSetThatKillsItsVmIsWarnedOf() {
        assertThat(workload(statefulSet(3, "RollingUpdate", "Parallel")))
                .containsExactly(
                        "StatefulSet web has replicas: 3, but its pods are one VM, and a VM has one live pod: all but the first will be refused. Make one StatefulSet for each VM, with replicas: 1.",
                        "StatefulSet web has updateStrategy RollingUpdate: a change of its template kills the VM, or does so seconds after it was resumed. Set updateStrategy: {type: OnDelete}.",
                        "StatefulSet web has podManagementPolicy Parallel: a change of its template replaces the pod even while its VM is being resumed. Use OrderedReady.");
    }

    @Test
    void workloadWhosePodsWillBeRefusedIsToldWhy() {
        assertThat(workload(new DeploymentBuilder()
                        .withNewMetadata()
                        .withName("web")
                        .endMetadata()
                        .withNewSpec()
                        .withTemplate(template())
                        .endSpec()
                        .build()))
                .containsExactly(
                        "No pod of this Deployment will be created. VM pod web-… belongs to Deployment web, and a Deployment starts the next pod while the last one still runs. Use a StatefulSet with replicas: 1 and updateStrategy OnDelete, or a bare pod.");
        assertThat(workload(new DaemonSetBuilder()
                        .withNewMetadata()
                        .withName("web")
                        .endMetadata()
                        .withNewSpec()
                        .withTemplate(template())
                        .endSpec()
                        .build()))
                .singleElement()
                .asString()
                .startsWith("No pod of this DaemonSet will be created.");
    }

    @Test
    void workloadWithoutTheLabelIsNoneOfOurs() {
        StatefulSet other = new StatefulSetBuilder(statefulSet(3, "RollingUpdate", "Parallel"))
                .editSpec()
                .editTemplate()
                .editMetadata()
                .withLabels(Map.of("app", "web"))
                .endMetadata()
                .endTemplate()
                .endSpec()
                .build();

        assertThat(workload(other)).isEmpty();
    }

    private static List<String> warnings(Pod pod) {
        return PodWarnings.of(Requests.creation(pod));
    }

    private static List<String> workload(HasMetadata workload) {
        var response = new WorkloadValidation(new Scope("torpor-system")).handle(Requests.create(workload));
        assertThat(response.getAllowed()).isTrue();
        return response.getWarnings();
    }

    private static Pod probed(String memory, int period, int failures) {
        return Requests.vmPod()
                .editSpec()
                .editFirstContainer()
                .withArgs("-machine", "pc-q35-10.0", "-m", memory)
                .withNewLivenessProbe()
                .withPeriodSeconds(period)
                .withFailureThreshold(failures)
                .endLivenessProbe()
                .endContainer()
                .endSpec()
                .build();
    }

    private static StatefulSet statefulSet(int replicas, String strategy, String management) {
        return new StatefulSetBuilder()
                .withNewMetadata()
                .withName("web")
                .endMetadata()
                .withNewSpec()
                .withReplicas(replicas)
                .withNewUpdateStrategy()
                .withType(strategy)
                .endUpdateStrategy()
                .withPodManagementPolicy(management)
                .withTemplate(template())
                .endSpec()
                .build();
    }

    private static PodTemplateSpec template() {
        return new PodTemplateSpecBuilder()
                .withNewMetadata()
                .addToLabels(Torpor.VM_LABEL, "web")
                .endMetadata()
                .withSpec(Requests.vmPod().buildSpec())
                .build();
    }
}
