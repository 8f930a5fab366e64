package dev.torpor.e2e.api;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.e2e.cluster.ControlPlane;
import io.fabric8.kubernetes.api.model.ContainerBuilder;
import io.fabric8.kubernetes.api.model.NodeBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.coordination.v1.LeaseBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.time.Duration;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.util.function.UnaryOperator;

/** A node without a kubelet and its agent's lease: pods run and end when a test says so. */
final class SimulatedNode implements AutoCloseable {
    static final String STORE_ID = "store-1";

    private final KubernetesClient client;
    private final String systemNamespace;
    private final String name;
    private final String uid;

    private SimulatedNode(KubernetesClient client, String systemNamespace, String name, String uid) {
        this.client = client;
        this.systemNamespace = systemNamespace;
        this.name = name;
        this.uid = uid;
    }

    /** Creates a node whose agent has just reported. */
    static SimulatedNode create(ControlPlane cluster, String systemNamespace, String name) {
        KubernetesClient client = cluster.client();
        String uid = client.resource(new NodeBuilder()
                        .withNewMetadata()
                        .withName(name)
                        .endMetadata()
                        .build())
                .create()
                .getMetadata()
                .getUid();
        var node = new SimulatedNode(client, systemNamespace, name, uid);
        node.agentReportedBefore(Duration.ZERO);
        return node;
    }

    String name() {
        return name;
    }

    String uid() {
        return uid;
    }

    /** Sets when the agent renewed its lease last. */
    void agentReportedBefore(Duration ago) {
        var lease = new LeaseBuilder()
                .withNewMetadata()
                .withNamespace(systemNamespace)
                .withName(Torpor.LEASE_PREFIX + name)
                .addToAnnotations(Torpor.STORE_ID_ANNOTATION, STORE_ID)
                .addToAnnotations(Torpor.NODE_UID_ANNOTATION, uid)
                .endMetadata()
                .withNewSpec()
                .withHolderIdentity(name)
                // Ahead of time, as nobody renews it here: a test takes less than that.
                .withRenewTime(ZonedDateTime.now(ZoneOffset.UTC)
                        .minus(ago)
                        .plus(ago.isZero() ? Duration.ofMinutes(10) : Duration.ZERO))
                .endSpec()
                .build();
        client.resource(lease).serverSideApply();
    }

    /** Creates a VM's pod that is wired to the launcher and runs here. */
    Pod runVm(String namespace, String vm, String podName) {
        return runVm(namespace, vm, podName, UnaryOperator.identity());
    }

    /** The same, with the pod changed before it is created. */
    Pod runVm(String namespace, String vm, String podName, UnaryOperator<PodBuilder> change) {
        Pod created = client.resource(
                        change.apply(vmPod(namespace, vm, podName)).build())
                .create();
        return markRunning(created);
    }

    /** Says of a pod that its container runs. */
    Pod markRunning(Pod pod) {
        return client.pods()
                .inNamespace(pod.getMetadata().getNamespace())
                .withName(pod.getMetadata().getName())
                .editStatus(current -> new PodBuilder(current)
                        .editOrNewStatus()
                        .withPhase("Running")
                        .addNewContainerStatus()
                        .withName("qemu")
                        .withImage("vm")
                        .withImageID("vm")
                        .withRestartCount(0)
                        .withReady(true)
                        .withNewState()
                        .withNewRunning()
                        .endRunning()
                        .endState()
                        .endContainerStatus()
                        .endStatus()
                        .build());
    }

    /** Lets a terminating pod be gone, as the kubelet does once its processes have ended. */
    void finishTermination(Pod pod) {
        client.pods()
                .inNamespace(pod.getMetadata().getNamespace())
                .withName(pod.getMetadata().getName())
                .withGracePeriod(0)
                .delete();
    }

    /** Returns the manifest of a VM's pod that is bound to this node and wired as in the examples. */
    PodBuilder vmPod(String namespace, String vm, String podName) {
        return new PodBuilder()
                .withNewMetadata()
                .withNamespace(namespace)
                .withName(podName)
                .addToLabels(Torpor.VM_LABEL, vm)
                .addToAnnotations("example.com/kept", "yes")
                .endMetadata()
                .withNewSpec()
                .withNodeName(name)
                .withTerminationGracePeriodSeconds(30L)
                .addNewVolume()
                .withName("torpor")
                .withNewEmptyDir()
                .endEmptyDir()
                .endVolume()
                .addToInitContainers(new ContainerBuilder()
                        .withName("launcher")
                        .withImage("launcher")
                        .addNewVolumeMount()
                        .withName("torpor")
                        .withMountPath("/run/torpor")
                        .endVolumeMount()
                        .build())
                .addToContainers(new ContainerBuilder()
                        .withName("qemu")
                        .withImage("vm")
                        .withCommand("/run/torpor/bin/launch", "--", "qemu-system-x86_64")
                        .withArgs("-m", "512")
                        .addNewVolumeMount()
                        .withName("torpor")
                        .withMountPath("/run/torpor")
                        .endVolumeMount()
                        .build())
                .endSpec();
    }

    /** Deletes the node object, as a cloud controller does with a machine that is gone. */
    void delete() {
        client.nodes().withName(name).delete();
    }

    @Override
    public void close() {
        try {
            delete();
        } catch (KubernetesClientException e) {
            throw new IllegalStateException("node " + name + " stays behind", e);
        }
    }
}
