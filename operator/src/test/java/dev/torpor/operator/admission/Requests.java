package dev.torpor.operator.admission;

import dev.torpor.api.v1alpha1.Torpor;
import io.fabric8.kubernetes.api.model.ContainerBuilder;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.KubernetesResource;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.admission.v1.AdmissionRequest;
import io.fabric8.kubernetes.api.model.admission.v1.AdmissionRequestBuilder;
import java.util.Optional;

/** Requests as API servers make them. */
final class Requests {
    private Requests() {}

    /** Returns an ordinary QEMU pod of VM {@code web}, with one label. */
    static PodBuilder vmPod() {
        return new PodBuilder()
                .withNewMetadata()
                .withName("web-pod")
                .addToLabels(Torpor.VM_LABEL, "web")
                .endMetadata()
                .withNewSpec()
                .withRestartPolicy("Always")
                .addToContainers(new ContainerBuilder()
                        .withName("qemu")
                        .withImage("vm")
                        .withCommand("qemu-system-x86_64")
                        .withArgs("-machine", "pc-q35-10.0", "-m", "512M")
                        .build())
                .endSpec();
    }

    /** Returns the pod as it would be created. */
    static PodRequest creation(Pod pod) {
        return new PodRequest("vms", pod, Optional.empty());
    }

    static AdmissionRequest create(HasMetadata object) {
        return request("CREATE", "vms", object).build();
    }

    static AdmissionRequestBuilder request(String operation, String namespace, KubernetesResource object) {
        return new AdmissionRequestBuilder()
                .withUid("r1")
                .withOperation(operation)
                .withNamespace(namespace)
                .withObject(object);
    }
}
