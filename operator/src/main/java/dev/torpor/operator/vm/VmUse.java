package dev.torpor.operator.vm;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.Imported;
import dev.torpor.api.v1alpha1.RestorePhase;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMRestoreStatus;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.util.EnumSet;
import java.util.Set;

/**
 * One snapshot or restore of a VM at a time: the first that is bound to a node is at work, the others wait. The lists
 * are consistent reads, and {@link AdmissionLock} keeps two admissions of one process apart; processes are kept apart
 * by leader election.
 */
public final class VmUse {
    private static final Set<SnapshotPhase> AT_WORK =
            EnumSet.of(SnapshotPhase.Bound, SnapshotPhase.Saving, SnapshotPhase.Saved);

    private final KubernetesClient client;

    public VmUse(KubernetesClient client) {
        this.client = client;
    }

    /**
     * Checks that nothing is at work on a VM.
     *
     * @throws TorporException VMBusy, naming what is
     */
    public void requireFree(VmName vm) throws TorporException {
        for (VMSnapshot other : client.resources(VMSnapshot.class)
                .inNamespace(vm.namespace())
                .list()
                .getItems()) {
            if (vm.name().equals(other.getSpec().vmName()) && isAtWork(other)) {
                throw busy(vm, "VMSnapshot", other.getMetadata().getName());
            }
        }
        for (VMRestore other : client.resources(VMRestore.class)
                .inNamespace(vm.namespace())
                .list()
                .getItems()) {
            if (isAtWork(other) && vm.name().equals(other.getStatus().getVmName())) {
                throw busy(vm, "VMRestore", other.getMetadata().getName());
            }
        }
    }

    /** Returns whether a snapshot is bound and not yet at an end: its image committed and its pod gone, or given up. */
    public static boolean isAtWork(VMSnapshot snapshot) {
        VMSnapshotStatus status = snapshot.getStatus();
        return status != null
                && !Imported.hasStatusOfAnother(snapshot)
                && status.getNodeName() != null
                && status.getFailure() == null
                && AT_WORK.contains(status.getPhase())
                && !(snapshot.getSpec().mode() == SaveMode.Checkpoint
                        && Conditions.isTrue(status.getConditions(), ConditionType.SAVED));
    }

    /** Returns whether a restore is bound and not yet at an end: the guest runs, or it failed and its pod was deleted. */
    public static boolean isAtWork(VMRestore restore) {
        VMRestoreStatus status = restore.getStatus();
        return status != null
                && !Imported.hasStatusOfAnother(restore)
                && status.getNodeName() != null
                && status.getPhase() != RestorePhase.Failed
                && !Conditions.isTrue(status.getConditions(), ConditionType.RESUMED);
    }

    private static TorporException busy(VmName vm, String kind, String name) {
        return new TorporException(
                FailureReason.VMBusy,
                "%s %s is at work on VM %s. This one waits for its end.".formatted(kind, name, vm.name()));
    }
}
