package dev.torpor.operator.vm;

import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import io.fabric8.kubernetes.api.model.PersistentVolumeClaim;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.Volume;
import io.fabric8.kubernetes.api.model.VolumeDevice;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * The PersistentVolumeClaims of a VM's pod. A pod's manifest names them; which ones of that name it was, only their UIDs tell. While
 * a pod uses a claim the API server keeps it, so what is read then is what the pod has.
 */
public final class Claims {
    private final KubernetesClient client;

    public Claims(KubernetesClient client) {
        this.client = client;
    }

    /** Returns the claims of a pod that lives, in the order of its volumes. */
    public List<ObjectName> of(Pod pod) {
        List<ObjectName> claims = new ArrayList<>();
        for (String name : names(pod)) {
            uid(pod.getMetadata().getNamespace(), name).ifPresent(uid -> claims.add(new ObjectName(name, uid)));
        }
        return claims;
    }

    /**
     * Requires that the claims of a saved VM are those that it had.
     *
     * @throws TorporException ClaimReplaced if one is gone, or is another one by now
     */
    public void requireSame(VMSnapshot snapshot) throws TorporException {
        List<ObjectName> saved =
                snapshot.getStatus() == null ? null : snapshot.getStatus().getClaims();
        for (ObjectName claim : saved == null ? List.<ObjectName>of() : saved) {
            String name = Objects.requireNonNullElse(claim.name(), "");
            Optional<String> uid = uid(snapshot.getMetadata().getNamespace(), name);
            if (!uid.equals(Optional.ofNullable(claim.uid()))) {
                throw new TorporException(
                        FailureReason.ClaimReplaced,
                        "PersistentVolumeClaim %s of VM %s %s; the memory belongs to the disk that was there. Put the disk back and make a VMRestore of %s with spec.disks: Restored, or Ephemeral if it does not matter. The image is safe."
                                .formatted(
                                        name,
                                        snapshot.getSpec().vmName(),
                                        uid.isPresent()
                                                ? "was deleted since the save, and the one of that name is another (UID "
                                                        + uid.get() + ", and was " + claim.uid() + ")"
                                                : "was deleted since the save",
                                        snapshot.getMetadata().getName()));
            }
        }
    }

    private Optional<String> uid(String namespace, String name) {
        PersistentVolumeClaim claim = client.persistentVolumeClaims()
                .inNamespace(namespace)
                .withName(name)
                .get();
        return Optional.ofNullable(claim).map(found -> found.getMetadata().getUid());
    }

    // Of generic ephemeral volumes, which go with their pod, only block devices: that a file on one is gone the agent
    // sees, and
    // what a VM keeps there beside its disks is not worth holding it for.
    private static Set<String> names(Pod pod) {
        Set<String> devices = pod.getSpec().getContainers().stream()
                .flatMap(container -> container.getVolumeDevices().stream())
                .map(VolumeDevice::getName)
                .collect(Collectors.toSet());
        Set<String> names = new LinkedHashSet<>();
        for (Volume volume : pod.getSpec().getVolumes()) {
            String name = name(pod, volume, devices);
            if (name != null) {
                names.add(name);
            }
        }
        return names;
    }

    private static @Nullable String name(Pod pod, Volume volume, Set<String> devices) {
        if (volume.getPersistentVolumeClaim() != null) {
            return volume.getPersistentVolumeClaim().getClaimName();
        }
        return volume.getEphemeral() != null && devices.contains(volume.getName())
                ? pod.getMetadata().getName() + "-" + volume.getName()
                : null;
    }
}
