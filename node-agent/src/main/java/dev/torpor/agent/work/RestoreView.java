package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.launch.VmName;
import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.DisksPolicy;
import dev.torpor.api.v1alpha1.Imported;
import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.api.v1alpha1.RestoreStrategy;
import dev.torpor.api.v1alpha1.RunStatePolicy;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMRestoreStatus;
import java.time.Instant;
import java.util.Objects;
import java.util.Optional;

/**
 * What a VMRestore asks of the agent, as it was read.
 *
 * @param object as it was read, for writing its status
 * @param name namespace/name, for people
 * @param uid of the VMRestore
 * @param image which image is restored
 * @param pod that the operator made for it, once it has
 * @param disks what the user says of the VM's disks
 * @param runState whether the guest is to run
 * @param deadline when the restore is given up
 * @param deadlineSeconds the same as the user gave it
 * @param checked status says that the image was checked
 * @param resumed status says that the guest is back
 * @param failed status says for good that it failed
 * @param givenUp the operator has given it up, it is being deleted, or its status came from a backup
 */
record RestoreView(
        VMRestore object,
        String name,
        String uid,
        ImageId image,
        Optional<ObjectName> pod,
        DisksPolicy disks,
        RunStatePolicy runState,
        Instant deadline,
        long deadlineSeconds,
        boolean checked,
        boolean resumed,
        boolean failed,
        boolean givenUp) {
    private static final long DEADLINE_SECONDS = 300;

    /** Reads an object; empty if the operator has not chosen a VM and an image yet. */
    static Optional<RestoreView> of(VMRestore object) {
        VMRestoreStatus status = object.getStatus();
        if (status == null || status.getVmName() == null || status.getSnapshotUID() == null) {
            return Optional.empty();
        }
        var meta = object.getMetadata();
        var spec = object.getSpec();
        long seconds = spec.deadlineSeconds() == null ? DEADLINE_SECONDS : spec.deadlineSeconds();
        return Optional.of(new RestoreView(
                object,
                meta.getNamespace() + "/" + meta.getName(),
                meta.getUid(),
                new ImageId(
                        meta.getNamespace(),
                        status.getVmName(),
                        Objects.requireNonNullElse(status.getImageUID(), status.getSnapshotUID())),
                Optional.ofNullable(status.getPod()),
                Objects.requireNonNullElse(spec.disks(), DisksPolicy.Unchanged),
                Objects.requireNonNullElse(spec.runState(), RunStatePolicy.AsSaved),
                Instant.parse(meta.getCreationTimestamp()).plusSeconds(seconds),
                seconds,
                Conditions.isTrue(status.getConditions(), ConditionType.IMAGE_AVAILABLE),
                Conditions.isTrue(status.getConditions(), ConditionType.RESUMED),
                status.getFailure() != null,
                Conditions.isTrue(status.getConditions(), ConditionType.STALLED)
                        || meta.getDeletionTimestamp() != null
                        || Imported.hasStatusOfAnother(object)));
    }

    /** How memory is to be brought back. */
    RestoreStrategy strategy() {
        return Objects.requireNonNullElse(object.getSpec().strategy(), RestoreStrategy.Auto);
    }

    VmName vm() {
        return new VmName(image.namespace(), image.vm());
    }

    /** Tells whether the guest is to run after it, given whether it ran before the save. */
    boolean runs(boolean ranBefore) {
        return switch (runState) {
            case AsSaved -> ranBefore;
            case Running -> true;
            case Paused -> false;
        };
    }
}
