package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.launch.VmName;
import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.Imported;
import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import io.fabric8.kubernetes.api.model.ObjectMeta;
import java.time.Instant;
import java.util.Map;
import java.util.Optional;

/**
 * What a VMSnapshot asks of the agent, as it was read.
 *
 * @param object as it was read, for writing its status
 * @param name namespace/name, for people
 * @param image the image that is or was made for it
 * @param mode what becomes of the VM
 * @param podUID pod that the operator chose; empty while it has not
 * @param storeID store that the operator chose
 * @param deadline when the save is given up
 * @param deadlineSeconds the same as the user gave it
 * @param cancel somebody wants it cancelled, or gone
 * @param deleting it is being deleted and waits for us
 * @param discard its VM's memory may be given up, as its annotation says
 * @param saved status says Saved
 * @param failed status says for good that it failed
 */
record SnapshotView(
        VMSnapshot object,
        String name,
        ImageId image,
        ImageMode mode,
        Optional<String> podUID,
        Optional<String> storeID,
        Instant deadline,
        long deadlineSeconds,
        boolean cancel,
        boolean deleting,
        boolean discard,
        boolean saved,
        boolean failed) {
    private static final long DEADLINE_SECONDS = 300;

    /**
     * Reads an object.
     *
     * @throws IllegalArgumentException if it cannot be one that the API server accepted
     */
    static SnapshotView of(VMSnapshot object) {
        var meta = object.getMetadata();
        var spec = object.getSpec();
        VMSnapshotStatus status = object.getStatus() == null ? new VMSnapshotStatus() : object.getStatus();
        long seconds = spec.deadlineSeconds() == null ? DEADLINE_SECONDS : spec.deadlineSeconds();
        boolean deleted = meta.getDeletionTimestamp() != null;
        return new SnapshotView(
                object,
                meta.getNamespace() + "/" + meta.getName(),
                new ImageId(
                        meta.getNamespace(),
                        spec.vmName(),
                        object.adoptedImage().orElse(meta.getUid())),
                mode(spec.mode() == null ? SaveMode.Save : spec.mode()),
                Optional.ofNullable(status.getPod()).map(ObjectName::uid),
                Optional.ofNullable(status.getStoreID()),
                Instant.parse(meta.getCreationTimestamp()).plusSeconds(seconds),
                seconds,
                Boolean.TRUE.equals(spec.cancel()) || Boolean.TRUE.equals(status.getCancelRequested()) || deleted,
                deleted && meta.getFinalizers() != null && meta.getFinalizers().contains(Torpor.IMAGE_FINALIZER),
                isDiscard(meta),
                Conditions.isTrue(status.getConditions(), ConditionType.SAVED),
                status.getFailure() != null);
    }

    /** Tells whether it stands for an image that the agent made by itself, so that there is nothing to save. */
    boolean adopts() {
        return object.adoptedImage().isPresent();
    }

    /** Tells whether a drain wants it, and not a person. */
    boolean isOfDrain() {
        Map<String, String> annotations = object.getMetadata().getAnnotations();
        return annotations != null && Torpor.CREATED_BY_DRAIN.equals(annotations.get(Torpor.CREATED_BY_ANNOTATION));
    }

    /** Its status was brought back by a backup tool and speaks of another object: nothing of it was asked of us. */
    boolean imported() {
        return Imported.hasStatusOfAnother(object);
    }

    VmName vm() {
        return new VmName(image.namespace(), image.vm());
    }

    private static boolean isDiscard(ObjectMeta meta) {
        String value =
                meta.getAnnotations() == null ? null : meta.getAnnotations().get(Torpor.DISCARD_ANNOTATION);
        return value != null && !"false".equals(value);
    }

    private static ImageMode mode(SaveMode mode) {
        return switch (mode) {
            case Save -> ImageMode.SAVE;
            case ManagedSave -> ImageMode.MANAGED_SAVE;
            case Checkpoint -> ImageMode.CHECKPOINT;
        };
    }
}
