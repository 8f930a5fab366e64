package dev.torpor.operator.vm;

import dev.torpor.api.v1alpha1.Torpor;
import io.fabric8.kubernetes.api.model.ContainerBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;

/** Pods of VMs as the API server shows them. */
public final class TestPods {
    private TestPods() {}

    /** Returns a pod that runs on node {@code n1} through the launcher, with what admission adds. */
    public static PodBuilder running(String name, String uid) {
        return new PodBuilder()
                .withNewMetadata()
                .withNamespace("vms")
                .withName(name)
                .withUid(uid)
                .withResourceVersion("5")
                .withCreationTimestamp("2026-01-02T03:00:00Z")
                .addToLabels(Torpor.VM_LABEL, "web")
                .addToAnnotations("example.com/kept", "yes")
                .endMetadata()
                .withNewSpec()
                .withNodeName("n1")
                .withPriority(0)
                .withPreemptionPolicy("PreemptLowerPriority")
                .withServiceAccountName("default")
                .addNewVolume()
                .withName("torpor")
                .withNewEmptyDir()
                .endEmptyDir()
                .endVolume()
                .addNewVolume()
                .withName("kube-api-access-x7z")
                .withNewProjected()
                .endProjected()
                .endVolume()
                .addNewToleration()
                .withKey("node.kubernetes.io/not-ready")
                .withOperator("Exists")
                .withEffect("NoExecute")
                .withTolerationSeconds(300L)
                .endToleration()
                .addNewToleration()
                .withKey("example.com/own")
                .withOperator("Exists")
                .endToleration()
                .addToInitContainers(new ContainerBuilder()
                        .withName("launcher")
                        .addNewVolumeMount()
                        .withName("torpor")
                        .withMountPath("/run/torpor")
                        .endVolumeMount()
                        .build())
                .addToContainers(new ContainerBuilder()
                        .withName("qemu")
                        .withCommand("/run/torpor/bin/launch", "--", "qemu-system-x86_64")
                        .addNewVolumeMount()
                        .withName("torpor")
                        .withMountPath("/run/torpor")
                        .endVolumeMount()
                        .addNewVolumeMount()
                        .withName("kube-api-access-x7z")
                        .withMountPath("/var/run/secrets/kubernetes.io/serviceaccount")
                        .endVolumeMount()
                        .build())
                .endSpec()
                .withNewStatus()
                .withPhase("Running")
                .addNewContainerStatus()
                .withName("qemu")
                .withNewState()
                .withNewRunning()
                .endRunning()
                .endState()
                .endContainerStatus()
                .endStatus();
    }

    /** Returns the pod that StatefulSet {@code web} makes. */
    public static PodBuilder ofStatefulSet(String name, String uid) {
        return running(name, uid)
                .editMetadata()
                .addNewOwnerReference()
                .withApiVersion("apps/v1")
                .withKind("StatefulSet")
                .withName("web")
                .withUid("set-uid")
                .withController(true)
                .endOwnerReference()
                .endMetadata();
    }

    /** Returns a pod as admission holds it for node {@code n1}. */
    public static Pod held(PodBuilder pod) {
        return PodGate.hold(
                pod.editSpec()
                        .withNodeName(null)
                        .endSpec()
                        .withNewStatus()
                        .withPhase("Pending")
                        .endStatus()
                        .build(),
                "n1");
    }
}
