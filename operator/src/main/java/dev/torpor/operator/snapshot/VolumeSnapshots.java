package dev.torpor.operator.snapshot;

import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.api.v1alpha1.VolumeSnapshotName;
import dev.torpor.api.v1alpha1.VolumeSnapshotStatus;
import dev.torpor.api.v1alpha1.VolumeSnapshotsSpec;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import dev.torpor.operator.step.Step;
import dev.torpor.operator.step.StepHook;
import dev.torpor.operator.vm.SnapshotClasses;
import io.fabric8.kubernetes.api.model.APIResourceList;
import io.fabric8.kubernetes.api.model.GenericKubernetesResource;
import io.fabric8.kubernetes.api.model.GenericKubernetesResourceBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.Resource;
import io.fabric8.kubernetes.client.dsl.base.ResourceDefinitionContext;
import java.net.HttpURLConnection;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * The CSI VolumeSnapshots of checkpoints (snapshot.storage.k8s.io/v1, kubernetes-csi/external-snapshotter). They are made when the
 * agent says since when the guest is paused, and the agent lets it go on when status says that all of them were cut.
 */
final class VolumeSnapshots {
    private static final ResourceDefinitionContext KIND = new ResourceDefinitionContext.Builder()
            .withGroup("snapshot.storage.k8s.io")
            .withVersion("v1")
            .withKind("VolumeSnapshot")
            .withPlural("volumesnapshots")
            .withNamespaced(true)
            .build();
    private static final int UNPROCESSABLE = 422;

    private final KubernetesClient client;
    private final SnapshotClasses classes;
    private final StepHook steps;

    VolumeSnapshots(KubernetesClient client, SnapshotClasses classes, StepHook steps) {
        this.client = client;
        this.classes = classes;
        this.steps = steps;
    }

    /**
     * Plans those of a snapshot that is to be bound: one for each claim.
     *
     * @return empty if none are wanted
     * @throws TorporException VolumeSnapshotsUnavailable if they are, and cannot be had
     */
    List<VolumeSnapshotStatus> plan(VMSnapshot snapshot, Optional<String> className, List<ObjectName> claims)
            throws TorporException {
        if (wanted(snapshot, className.orElse(null)) == null) {
            return List.of();
        }
        if (claims.isEmpty() && snapshot.getSpec().volumeSnapshots() == null) {
            return List.of(); // a class speaks of VMs that have claims
        }
        if (claims.isEmpty()) {
            throw new TorporException(
                    FailureReason.VolumeSnapshotsUnavailable,
                    "spec.volumeSnapshots is set, and the pod of VM %s has no PersistentVolumeClaims. Make a VMSnapshot without it. Nothing was done to the VM."
                            .formatted(snapshot.getSpec().vmName()));
        }
        APIResourceList served = client.getApiResources(KIND.getGroup() + "/" + KIND.getVersion());
        if (served == null
                || served.getResources().stream()
                        .noneMatch(resource -> KIND.getPlural().equals(resource.getName()))) {
            throw new TorporException(
                    FailureReason.VolumeSnapshotsUnavailable,
                    "VolumeSnapshots are wanted of VM %s, and this cluster does not have them: install the CRDs and the controller of kubernetes-csi/external-snapshotter, or make a VMSnapshot without them. Nothing was done to the VM."
                            .formatted(snapshot.getSpec().vmName()));
        }
        return claims.stream()
                .map(claim -> VolumeSnapshotStatus.planned(claim.name()))
                .toList();
    }

    /** Looks at those of a snapshot that is being made. */
    Cuts ofSave(VMSnapshot snapshot) {
        VMSnapshotStatus status = snapshot.getStatus();
        List<VolumeSnapshotStatus> before = planned(status);
        String pausedAt = status.getPausedAt();
        if (before.isEmpty() || pausedAt == null) {
            return new Cuts(before, List.of(), List.of(), false);
        }
        List<VolumeSnapshotStatus> now = new ArrayList<>();
        List<VolumeSnapshotStatus> create = new ArrayList<>();
        List<String> delete = new ArrayList<>();
        for (VolumeSnapshotStatus cut : before) {
            String claim = Objects.requireNonNull(cut.claimName(), "we planned it");
            String name = VolumeSnapshotName.of(snapshot.getMetadata().getUid(), claim, pausedAt);
            if (!name.equals(cut.name())) {
                // Status names one before it is made: only so it is found, whatever becomes of the operator or the
                // pause meanwhile.
                Optional.ofNullable(cut.name()).ifPresent(delete::add);
                now.add(new VolumeSnapshotStatus(claim, name, null, null, null));
                continue;
            }
            Optional<VolumeSnapshotStatus> found = read(snapshot, claim, name);
            if (found.isEmpty()) {
                create.add(new VolumeSnapshotStatus(claim, name, null, null, null));
            }
            now.add(found.orElseGet(() -> new VolumeSnapshotStatus(claim, name, null, null, null)));
        }
        return new Cuts(now, create, delete, now.stream().anyMatch(cut -> cut.creationTime() == null));
    }

    /** Looks at those of a snapshot whose image is committed: they are cut, and may not be ready for use yet. */
    Cuts ofImage(VMSnapshot snapshot) {
        List<VolumeSnapshotStatus> now = planned(snapshot.getStatus()).stream()
                .map(cut -> cut.name() == null || Boolean.TRUE.equals(cut.readyToUse())
                        ? cut
                        : read(snapshot, Objects.requireNonNull(cut.claimName(), "we planned it"), cut.name())
                                .filter(found -> found.creationTime() != null)
                                .orElse(cut))
                .toList();
        return new Cuts(
                now, List.of(), List.of(), now.stream().anyMatch(cut -> !Boolean.TRUE.equals(cut.readyToUse())));
    }

    /** Tells whether memory was saved and some of its disks were not, as by an agent that does not know of them. */
    static boolean isWithoutSome(VMSnapshot snapshot) {
        return planned(snapshot.getStatus()).stream().anyMatch(cut -> cut.creationTime() == null);
    }

    /** Looks at those of a snapshot that came to nothing. */
    static Cuts ofFailure(VMSnapshot snapshot) {
        List<VolumeSnapshotStatus> before = planned(snapshot.getStatus());
        return new Cuts(
                before.stream()
                        .map(cut -> VolumeSnapshotStatus.planned(cut.claimName()))
                        .toList(),
                List.of(),
                before.stream()
                        .map(VolumeSnapshotStatus::name)
                        .filter(Objects::nonNull)
                        .toList(),
                false);
    }

    /**
     * Creates some, and deletes others. Done already is done.
     *
     * @throws TorporException VolumeSnapshotFailed if the API server refuses one
     */
    void perform(VMSnapshot snapshot, List<VolumeSnapshotStatus> create, List<String> delete) throws TorporException {
        delete.forEach(name -> steps.take(
                Step.SNAPSHOT_DROP_CUT, () -> resource(snapshot, name).delete()));
        for (VolumeSnapshotStatus cut : create) {
            steps.take(
                    Step.SNAPSHOT_CUT_DISK,
                    () -> create(
                            snapshot, Objects.requireNonNull(cut.claimName()), Objects.requireNonNull(cut.name())));
        }
    }

    private void create(VMSnapshot snapshot, String claim, String name) throws TorporException {
        VolumeSnapshotsSpec wanted = wanted(snapshot, snapshot.getStatus().getClassName());
        Map<String, Object> spec = new HashMap<>(Map.of("source", Map.of("persistentVolumeClaimName", claim)));
        if (wanted != null && wanted.className() != null) {
            spec.put("volumeSnapshotClassName", wanted.className());
        }
        GenericKubernetesResource cut = new GenericKubernetesResourceBuilder()
                .withApiVersion(KIND.getGroup() + "/" + KIND.getVersion())
                .withKind(KIND.getKind())
                .withNewMetadata()
                .withNamespace(snapshot.getMetadata().getNamespace())
                .withName(name)
                .addToLabels(Torpor.VM_LABEL, snapshot.getSpec().vmName())
                .addNewOwnerReference()
                .withApiVersion(snapshot.getApiVersion())
                .withKind(snapshot.getKind())
                .withName(snapshot.getMetadata().getName())
                .withUid(snapshot.getMetadata().getUid())
                .endOwnerReference()
                .endMetadata()
                .addToAdditionalProperties("spec", spec)
                .build();
        try {
            client.genericKubernetesResources(KIND)
                    .inNamespace(snapshot.getMetadata().getNamespace())
                    .resource(cut)
                    .create();
        } catch (KubernetesClientException e) {
            switch (e.getCode()) {
                case HttpURLConnection.HTTP_CONFLICT -> {
                    // made by an earlier look
                }
                case HttpURLConnection.HTTP_BAD_REQUEST,
                        HttpURLConnection.HTTP_FORBIDDEN,
                        HttpURLConnection.HTTP_NOT_FOUND,
                        UNPROCESSABLE ->
                    throw new TorporException(
                            FailureReason.VolumeSnapshotFailed,
                            "the API server refused VolumeSnapshot %s: %s"
                                    .formatted(
                                            name,
                                            e.getStatus() == null
                                                    ? e.getMessage()
                                                    : e.getStatus().getMessage()),
                            e);
                default -> throw e;
            }
        }
    }

    private Optional<VolumeSnapshotStatus> read(VMSnapshot snapshot, String claim, String name) {
        GenericKubernetesResource cut = resource(snapshot, name).get();
        if (cut == null) {
            return Optional.empty();
        }
        // Somebody else's of that name is not the cut of this claim.
        String source = cut.get("spec", "source", "persistentVolumeClaimName");
        if (!claim.equals(source)) {
            return Optional.of(new VolumeSnapshotStatus(
                    claim, name, null, null, "VolumeSnapshot %s is of claim %s".formatted(name, source)));
        }
        String error = cut.get("status", "error", "message");
        return Optional.of(new VolumeSnapshotStatus(
                claim, name, cut.get("status", "creationTime"), cut.get("status", "readyToUse"), error));
    }

    private Resource<GenericKubernetesResource> resource(VMSnapshot snapshot, String name) {
        return client.genericKubernetesResources(KIND)
                .inNamespace(snapshot.getMetadata().getNamespace())
                .withName(name);
    }

    private @Nullable VolumeSnapshotsSpec wanted(VMSnapshot snapshot, @Nullable String className) {
        return VolumeSnapshotsSpec.of(
                snapshot.getSpec(),
                Optional.ofNullable(className).flatMap(classes::spec).orElse(null));
    }

    private static List<VolumeSnapshotStatus> planned(VMSnapshotStatus status) {
        return Objects.requireNonNullElse(status.getVolumeSnapshots(), List.of());
    }
}
