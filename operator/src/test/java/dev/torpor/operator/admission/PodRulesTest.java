package dev.torpor.operator.admission;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.v1alpha1.Torpor;
import io.fabric8.kubernetes.api.model.ContainerBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class PodRulesTest {
    @Test
    void ordinaryPodIsFine() {
        assertThat(PodRules.check(Requests.creation(Requests.vmPod().build()))).isEmpty();
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource
    void refusalSaysWhatToDo(String message, int code, UnaryOperator<PodBuilder> change) {
        assertThat(PodRules.check(
                        Requests.creation(change.apply(Requests.vmPod()).build())))
                .contains(new Denial(code, message));
    }

    static Stream<Arguments> refusalSaysWhatToDo() {
        return Stream.of(
                refusal(
                        "Pod web-pod: '' is not the name of a VM. The label torpor.dev/vm takes 1 to 63 letters, digits, '-', '_' and '.', a letter or digit at both ends.",
                        422,
                        pod -> pod.editMetadata()
                                .addToLabels(Torpor.VM_LABEL, "")
                                .endMetadata()),
                refusal(
                        "VM pod web-pod belongs to ReplicaSet web-5d9, and a Deployment or ReplicaSet starts the next pod while the last one still runs. Use a StatefulSet with replicas: 1 and updateStrategy OnDelete, or a bare pod.",
                        403,
                        pod -> owned(pod, "ReplicaSet", "web-5d9")),
                refusal(
                        "VM pod web-pod belongs to ReplicationController web, and a ReplicationController starts the next pod while the last one still runs. Use a StatefulSet with replicas: 1 and updateStrategy OnDelete, or a bare pod.",
                        403,
                        pod -> owned(pod, "ReplicationController", "web")),
                refusal(
                        "VM pod web-pod belongs to DaemonSet web, and a DaemonSet starts one pod on each node, where a VM has one in all. Use a StatefulSet with replicas: 1 and updateStrategy OnDelete, or a bare pod.",
                        403,
                        pod -> owned(pod, "DaemonSet", "web")),
                refusal(
                        "VM pod web-pod has restartPolicy Never. The launcher needs Always: after a crash, a failed restore or a reboot of the node the container starts again, and the agent says how.",
                        422,
                        pod -> pod.editSpec().withRestartPolicy("Never").endSpec()),
                refusal(
                        "VM pod web-pod has the containers qemu, sidecar, and nothing says which one runs QEMU. Name it in the annotation torpor.dev/container of the pod.",
                        422,
                        PodRulesTest::withSidecar),
                refusal(
                        "VM pod web-pod: annotation torpor.dev/container names container 'vm', but the pod has qemu, sidecar. Name one of those.",
                        422,
                        pod -> annotated(withSidecar(pod), Torpor.CONTAINER_ANNOTATION, "vm")),
                refusal(
                        "VM pod web-pod: container qemu names no command, and the image's own cannot be seen from here. Write it down, for example command: [qemu-system-x86_64], for the launcher to start it.",
                        422,
                        pod -> pod.editSpec()
                                .editFirstContainer()
                                .withCommand()
                                .endContainer()
                                .endSpec()),
                refusal(
                        "VM pod web-pod: the command of container sidecar begins with the launcher, but qemu is to run QEMU. A pod is one VM: start only that container through /run/torpor/bin/launch.",
                        422,
                        pod -> annotated(pod, Torpor.CONTAINER_ANNOTATION, "qemu")
                                .editSpec()
                                .addToContainers(new ContainerBuilder()
                                        .withName("sidecar")
                                        .withCommand("/run/torpor/bin/launch", "--", "x")
                                        .build())
                                .endSpec()),
                refusal(
                        "VM pod web-pod has a volume named torpor that is no emptyDir. The launcher needs that name: rename yours.",
                        422,
                        pod -> pod.editSpec()
                                .addNewVolume()
                                .withName("torpor")
                                .withNewConfigMap()
                                .endConfigMap()
                                .endVolume()
                                .endSpec()),
                refusal(
                        "VM pod web-pod: container qemu mounts volume disk at /run/torpor. The launcher needs volume torpor at /run/torpor, and both for itself: mount yours elsewhere.",
                        422,
                        pod -> mounted(pod, "disk", "/run/torpor")),
                refusal(
                        "VM pod web-pod: container qemu mounts volume torpor at /data. The launcher needs volume torpor at /run/torpor, and both for itself: mount yours elsewhere.",
                        422,
                        pod -> mounted(pod, "torpor", "/data")),
                refusal(
                        "VM pod web-pod has an init container named torpor-launcher that does not mount volume torpor. The name is that of the launcher's: rename yours.",
                        422,
                        pod -> pod.editSpec()
                                .addToInitContainers(new ContainerBuilder()
                                        .withName("torpor-launcher")
                                        .build())
                                .endSpec()));
    }

    @Test
    void namedContainerOfSeveralIsFine() {
        assertThat(PodRules.check(
                        Requests.creation(annotated(withSidecar(Requests.vmPod()), Torpor.CONTAINER_ANNOTATION, "qemu")
                                .build())))
                .isEmpty();
    }

    @Test
    void whoOptsOutNeedNotSuitTheLauncher() {
        Pod pod = annotated(withSidecar(Requests.vmPod()), Torpor.INJECT_ANNOTATION, "false")
                .editSpec()
                .withRestartPolicy("Never")
                .editFirstContainer()
                .withCommand()
                .endContainer()
                .endSpec()
                .build();

        assertThat(PodRules.check(Requests.creation(pod))).isEmpty();
    }

    @Test
    void whoOptsOutIsStillOneVm() {
        Pod pod = owned(annotated(Requests.vmPod(), Torpor.INJECT_ANNOTATION, "false"), "ReplicaSet", "web-5d9")
                .build();

        assertThat(PodRules.check(Requests.creation(pod))).isPresent();
    }

    @Test
    void podOfAStatefulSetIsFine() {
        assertThat(PodRules.check(Requests.creation(
                        owned(Requests.vmPod(), "StatefulSet", "web").build())))
                .isEmpty();
    }

    private static Arguments refusal(String message, int code, UnaryOperator<PodBuilder> change) {
        return Arguments.of(message, code, change);
    }

    static PodBuilder withSidecar(PodBuilder pod) {
        return pod.editSpec()
                .addToContainers(new ContainerBuilder()
                        .withName("sidecar")
                        .withImage("sidecar")
                        .build())
                .endSpec();
    }

    static PodBuilder annotated(PodBuilder pod, String annotation, String value) {
        return pod.editMetadata().addToAnnotations(annotation, value).endMetadata();
    }

    static PodBuilder owned(PodBuilder pod, String kind, String name) {
        return pod.editMetadata()
                .addNewOwnerReference()
                .withKind(kind)
                .withName(name)
                .withController(true)
                .endOwnerReference()
                .endMetadata();
    }

    private static PodBuilder mounted(PodBuilder pod, String volume, String path) {
        return pod.editSpec()
                .editFirstContainer()
                .addNewVolumeMount()
                .withName(volume)
                .withMountPath(path)
                .endVolumeMount()
                .endContainer()
                .endSpec();
    }
}
