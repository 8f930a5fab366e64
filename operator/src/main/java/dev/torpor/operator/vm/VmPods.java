package dev.torpor.operator.vm;

import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import io.fabric8.kubernetes.api.model.DeleteOptions;
import io.fabric8.kubernetes.api.model.DeleteOptionsBuilder;
import io.fabric8.kubernetes.api.model.OwnerReference;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodStatus;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.net.HttpURLConnection;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The pods of VMs, read from the API server itself. */
public final class VmPods {
    private static final Logger LOG = LoggerFactory.getLogger(VmPods.class);
    private static final int HTTP_UNPROCESSABLE = 422;
    private static final Set<String> ENDED = Set.of("Succeeded", "Failed");

    private final KubernetesClient client;

    public VmPods(KubernetesClient client) {
        this.client = client;
    }

    /**
     * Returns the live pods that claim to be a VM, by name. A terminating pod is live: its QEMU may run until it is gone.
     */
    public List<Pod> live(VmName vm) {
        return client
                .pods()
                .inNamespace(vm.namespace())
                .withLabel(Torpor.VM_LABEL, vm.name())
                .list()
                .getItems()
                .stream()
                .filter(VmPods::isLive)
                .sorted(Comparator.comparing(pod -> pod.getMetadata().getName()))
                .toList();
    }

    /** Returns the pod of a name if it is still the one of that UID. */
    public Optional<Pod> find(String namespace, ObjectName pod) {
        return Optional.ofNullable(client.pods()
                        .inNamespace(namespace)
                        .withName(pod.name())
                        .get())
                .filter(found -> found.getMetadata().getUid().equals(pod.uid()));
    }

    /** Returns the pod of a VM with that UID, in whatever state it is. */
    public Optional<Pod> ofUid(VmName vm, String uid) {
        return client
                .pods()
                .inNamespace(vm.namespace())
                .withLabel(Torpor.VM_LABEL, vm.name())
                .list()
                .getItems()
                .stream()
                .filter(pod -> pod.getMetadata().getUid().equals(uid))
                .findFirst();
    }

    /**
     * Deletes a pod with its own grace period, provided that it still is the one of that UID. A pod that is gone or
     * was replaced needs no deletion.
     */
    public void delete(String namespace, ObjectName pod) {
        DeleteOptions options = new DeleteOptionsBuilder()
                .withNewPreconditions()
                .withUid(pod.uid())
                .endPreconditions()
                .build();
        try {
            client.raw("/api/v1/namespaces/%s/pods/%s".formatted(namespace, pod.name()), "DELETE", options);
        } catch (KubernetesClientException e) {
            if (e.getCode() != HttpURLConnection.HTTP_NOT_FOUND && e.getCode() != HttpURLConnection.HTTP_CONFLICT) {
                throw e;
            }
        }
    }

    /**
     * Creates a pod of a VM. One of the VM that is there already is left alone: the next look tells what it is. One that came
     * to its end, as by an eviction for want of memory, keeps its name and is deleted first.
     *
     * @throws TorporException PodRejected if the API server or admission refuses it; NameTaken if another pod has its name
     */
    public void create(Pod manifest) throws TorporException {
        if (isCreated(manifest)) {
            return;
        }
        String namespace = manifest.getMetadata().getNamespace();
        String name = manifest.getMetadata().getName();
        Optional<Pod> same = Optional.ofNullable(
                        client.pods().inNamespace(namespace).withName(name).get())
                .filter(there -> vmOf(there).equals(vmOf(manifest)));
        if (same.filter(VmPods::isLive).isPresent()) {
            return; // by an earlier step, or somebody else was quicker
        }
        if (same.isPresent() && controllerOf(same.get()).isEmpty()) {
            LOG.info("pod {}/{} has ended, and is deleted to be made again", namespace, name);
            delete(namespace, nameOf(same.get()));
        }
        if (!isCreated(manifest)) {
            throw new TorporException(
                    FailureReason.NameTaken,
                    "Pod %s of VM %s cannot be made: another pod has its name, or the last one is still being deleted. Delete that pod. The image is safe."
                            .formatted(name, vmOf(manifest)));
        }
    }

    /** Returns false if there is a pod of that name. */
    private boolean isCreated(Pod manifest) throws TorporException {
        try {
            client.pods()
                    .inNamespace(manifest.getMetadata().getNamespace())
                    .resource(manifest)
                    .create();
            return true;
        } catch (KubernetesClientException e) {
            return switch (e.getCode()) {
                case HttpURLConnection.HTTP_CONFLICT -> false;
                case HttpURLConnection.HTTP_BAD_REQUEST, HttpURLConnection.HTTP_FORBIDDEN, HTTP_UNPROCESSABLE ->
                    throw new TorporException(
                            FailureReason.PodRejected,
                            "The API server refused pod %s: %s. Remove the cause, then make a new VMRestore. The image is safe."
                                    .formatted(manifest.getMetadata().getName(), reasonOf(e)),
                            e);
                default -> throw e;
            };
        }
    }

    private static String reasonOf(KubernetesClientException e) {
        return e.getStatus() != null && e.getStatus().getMessage() != null
                ? e.getStatus().getMessage()
                : String.valueOf(e.getMessage());
    }

    private static String vmOf(Pod pod) {
        return pod.getMetadata().getLabels().getOrDefault(Torpor.VM_LABEL, "");
    }

    /** Returns name and UID of a pod. */
    public static ObjectName nameOf(Pod pod) {
        return new ObjectName(pod.getMetadata().getName(), pod.getMetadata().getUid());
    }

    /** Returns a pod's IP address, once it has one. */
    public static Optional<String> addressOf(Pod pod) {
        return Optional.ofNullable(pod.getStatus()).map(PodStatus::getPodIP).filter(ip -> !ip.isEmpty());
    }

    /** Returns whether a pod is on its way out. */
    public static boolean isTerminating(Pod pod) {
        return pod.getMetadata().getDeletionTimestamp() != null;
    }

    /** Returns the controller that would start the pod again. */
    public static Optional<OwnerReference> controllerOf(Pod pod) {
        return pod.getMetadata().getOwnerReferences().stream()
                .filter(owner -> Boolean.TRUE.equals(owner.getController()))
                .findFirst();
    }

    /** Returns whether a container of the pod is running. */
    public static boolean isRunning(Pod pod, String container) {
        return pod.getStatus() != null
                && pod.getStatus().getContainerStatuses().stream()
                        .anyMatch(status -> container.equals(status.getName())
                                && status.getState() != null
                                && status.getState().getRunning() != null);
    }

    /** Returns whether the pod has not come to its end. */
    public static boolean isLive(Pod pod) {
        return pod.getStatus() == null || !ENDED.contains(pod.getStatus().getPhase());
    }
}
