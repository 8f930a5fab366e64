package dev.torpor.operator.vm;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.Imported;
import dev.torpor.api.v1alpha1.NodeStore;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;

/**
 * The managed images that wait: while one does, its VM must not boot. Read from the API server itself.
 */
public final class ManagedImages {
    /** Reasons of condition ImageAvailable after which an image waits no more. */
    private static final Set<String> OVER = Set.of("Consumed", "Stale");

    private final KubernetesClient client;

    public ManagedImages(KubernetesClient client) {
        this.client = client;
    }

    /**
     * What keeps a VM from booting.
     *
     * @param snapshotName of the VMSnapshot, or the name that it will have
     * @param nodeName node that has the memory
     */
    public record Holding(String snapshotName, String nodeName) {}

    /**
     * Returns what keeps a VM from booting: a managed image that waits, or one that an agent made or makes by itself and for
     * which there is no VMSnapshot yet.
     */
    public Optional<Holding> holding(VmName vm) {
        // In this order: an image that gets its snapshot in between is seen twice, not missed.
        List<NodeStore> stores = client.resources(NodeStore.class).list().getItems();
        List<VMSnapshot> snapshots = snapshotsOf(vm);
        return newestWaiting(snapshots)
                .map(snapshot -> new Holding(
                        snapshot.getMetadata().getName(),
                        Objects.requireNonNull(snapshot.getStatus().getNodeName(), "a saved VM has a node")))
                .or(() -> undecided(stores, snapshots).stream()
                        .filter(found -> found.save().isOf(vm.namespace(), vm.name()))
                        .map(found -> new Holding(found.save().snapshotName(), found.nodeName()))
                        .findFirst());
    }

    /**
     * Returns what agents saved by themselves, or are saving, and no snapshot tells what became of it: that has none yet, or
     * one that its agent has not written to.
     *
     * @param snapshots those of the VMs in question; read after the stores, or an image that gets its snapshot in between is
     *     missed
     */
    public static List<Terminations.Found> undecided(List<NodeStore> stores, List<VMSnapshot> snapshots) {
        return stores.stream()
                .flatMap(store -> Terminations.savesOf(store).stream()
                        .filter(save -> snapshots.stream()
                                .noneMatch(snapshot -> Terminations.standsFor(snapshot, save) && isDecided(snapshot)))
                        .map(save ->
                                new Terminations.Found(save, store.getMetadata().getName())))
                .toList();
    }

    /** Returns whether the agent has said what became of the save: from then on the snapshot tells, not the NodeStore. */
    private static boolean isDecided(VMSnapshot snapshot) {
        VMSnapshotStatus status = snapshot.getStatus();
        return status != null
                && (status.getFailure() != null || Conditions.isTrue(status.getConditions(), ConditionType.SAVED));
    }

    private List<VMSnapshot> snapshotsOf(VmName vm) {
        return client.resources(VMSnapshot.class).inNamespace(vm.namespace()).list().getItems().stream()
                .filter(snapshot -> vm.name().equals(snapshot.getSpec().vmName()))
                .toList();
    }

    /** Returns the snapshot whose image waits for a VM's next start; the newest, should there be several. */
    public Optional<VMSnapshot> waitingFor(VmName vm) {
        return newestWaiting(snapshotsOf(vm));
    }

    private static Optional<VMSnapshot> newestWaiting(List<VMSnapshot> snapshots) {
        return snapshots.stream()
                .filter(ManagedImages::waits)
                .max(Comparator.comparing(
                                (VMSnapshot snapshot) -> snapshot.getMetadata().getCreationTimestamp())
                        .thenComparing(snapshot -> snapshot.getMetadata().getName()));
    }

    /**
     * Returns whether a managed image waits. A missing or damaged one does too, until a person resolves it; one that is
     * being discarded does not.
     */
    public static boolean waits(VMSnapshot snapshot) {
        return snapshot.getSpec().mode() == SaveMode.ManagedSave && isUnspent(snapshot) && !isDiscarded(snapshot);
    }

    /** Returns whether an image is all there is of its VM's memory: the VM was stopped for it, and has not gone on. */
    public static boolean isOnlyMemory(VMSnapshot snapshot) {
        return switch (Objects.requireNonNullElse(snapshot.getSpec().mode(), SaveMode.Save)) {
            case ManagedSave -> waits(snapshot);
            case Save -> isUnspent(snapshot) && snapshot.getMetadata().getDeletionTimestamp() == null;
            case Checkpoint -> false;
        };
    }

    private static boolean isUnspent(VMSnapshot snapshot) {
        VMSnapshotStatus status = snapshot.getStatus();
        return status != null
                && !Imported.hasStatusOfAnother(snapshot)
                && Conditions.isTrue(status.getConditions(), ConditionType.SAVED)
                && status.getConsumedBy() == null
                && status.getPhase() != SnapshotPhase.Consumed
                && !OVER.contains(
                        Optional.ofNullable(Conditions.reason(status.getConditions(), ConditionType.IMAGE_AVAILABLE))
                                .orElse(""));
    }

    /** Returns whether a snapshot is being deleted with the VM's memory in it, on purpose. */
    public static boolean isDiscarded(VMSnapshot snapshot) {
        String discard = Optional.ofNullable(snapshot.getMetadata().getAnnotations())
                .map(annotations -> annotations.get(Torpor.DISCARD_ANNOTATION))
                .orElse(null);
        return snapshot.getMetadata().getDeletionTimestamp() != null && discard != null && !"false".equals(discard);
    }
}
