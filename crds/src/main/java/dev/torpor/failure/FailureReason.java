package dev.torpor.failure;

import java.util.Arrays;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Every reason for which Torpor refuses or gives up, as it appears in conditions, Events and exit messages.
 * The names are API: never renamed, never taken from a class name.
 */
public enum FailureReason {
    // Admission, by the operator.

    /** No pod carries the label {@code torpor.dev/vm} with this VM's name. */
    VMNotFound(Kind.RETRYABLE),

    /** The VM's pod exists but its QEMU container does not run (yet). */
    VMNotRunning(Kind.RETRYABLE),

    /** More than one live pod claims to be this VM; nothing is done until one is left. */
    MultipleLivePods(Kind.RETRYABLE),

    /** Another snapshot or restore of the same VM is in progress. */
    VMBusy(Kind.RETRYABLE),

    /** The named {@code VMSnapshotClass} does not exist. */
    ClassNotFound(Kind.RETRYABLE),

    /** The agent of the image's node has not renewed its lease, or another store answers there. */
    StoreUnavailable(Kind.RETRYABLE),

    /** The named {@code VMSnapshot} does not exist in the namespace. */
    SnapshotNotFound(Kind.RETRYABLE),

    /** The named {@code VMSnapshot} is still being made. */
    SnapshotNotReady(Kind.RETRYABLE),

    /** The named {@code VMSnapshot} failed, was cancelled, is stale or was consumed: it will not become Ready. */
    SnapshotUnusable(Kind.TERMINAL),

    /** {@code source.podUID} names a pod that is not the VM's live one. */
    PodReplaced(Kind.TERMINAL),

    /**
     * The VM's pod was made after the object, which would stop it: a request is for the instance that its author saw. Mode
     * Checkpoint, and a source that is pinned, are exempt.
     */
    OlderThanPod(Kind.TERMINAL),

    /** A backup tool brought the object back: it is not carried out a second time. */
    RestoredFromBackup(Kind.TERMINAL),

    /** {@code Save} of a pod whose controller would start it again at once. */
    ControllerWouldRecreate(Kind.TERMINAL),

    /** The VM is saved already: its memory waits in another managed image. */
    AlreadySaved(Kind.TERMINAL),

    /** VolumeSnapshots are wanted, and the cluster does not have them, or the pod has no claims. */
    VolumeSnapshotsUnavailable(Kind.TERMINAL),

    /** A VolumeSnapshot was refused, failed, or was not cut while the guest could be kept paused. */
    VolumeSnapshotFailed(Kind.TERMINAL),

    /** The pod of the VM is not what it was when its memory was saved: another command, image, size or volume. */
    DefinitionChanged(Kind.TERMINAL),

    /** The StatefulSet is about to replace the VM's pod by a new template, which would end the VM right after its resume. */
    RolloutPending(Kind.RETRYABLE),

    /** The image's node takes no pods: it is cordoned, in maintenance, or has a taint that the pod does not tolerate. */
    NodeUnschedulable(Kind.RETRYABLE),

    /** The pod does not start QEMU through the launcher, so its next start could not be held. */
    LauncherMissing(Kind.TERMINAL),

    /** A restore in place was asked for while a live pod of the VM exists. */
    VMRunning(Kind.TERMINAL),

    /** The VM has run since the image was made, and {@code disks} does not say that this is fine. */
    VMRanSince(Kind.TERMINAL),

    /** A disk of the VM was written to, cut or replaced since the image was made, and {@code disks} does not say that this is fine. */
    DisksMovedOn(Kind.TERMINAL),

    /** A PersistentVolumeClaim of the VM was deleted since the image was made; one of its name that is there is another one. */
    ClaimReplaced(Kind.TERMINAL),

    /** Another process has a disk of the VM open, and QEMU's lock on it. */
    DiskLocked(Kind.RETRYABLE),

    /** The {@code ControllerRevision} with the pod's recorded manifest is gone. */
    RecordedManifestMissing(Kind.TERMINAL),

    /** The API server refused the recreated pod. */
    PodRejected(Kind.TERMINAL),

    /** Another pod has the name of the one that is to be recreated; it is made when that one is gone. */
    NameTaken(Kind.RETRYABLE),

    // QEMU and its monitor.

    /** There is no QMP socket where the VM's should be (QEMU not up yet, or started without it). */
    SocketMissing(Kind.RETRYABLE),

    /** What answers on the socket does not speak QMP, or breaks its rules or our limits. */
    NotQEMU(Kind.TERMINAL),

    /** QEMU did not answer within the deadline; another client may hold the monitor. */
    QMPTimeout(Kind.RETRYABLE),

    /** QEMU refused a command that it should have accepted. */
    QMPCommandFailed(Kind.TERMINAL),

    /** QEMU ended, or closed its monitor, in the middle. */
    QEMUGone(Kind.TERMINAL),

    /** This QEMU lacks what the engine needs ({@code mapped-ram} or {@code multifd}), or cannot compress as asked for. */
    CapabilityMissing(Kind.TERMINAL),

    /** A device of the VM cannot be saved; QEMU names it. */
    MigrationBlocked(Kind.TERMINAL),

    /** The number of channels is not between 1 and 255. */
    ChannelsOutOfRange(Kind.TERMINAL),

    /** QEMU's limit of open files leaves no room for the channels. */
    DescriptorLimit(Kind.TERMINAL),

    /** Direct I/O was required, and the store's file system does not have it. */
    DirectIOUnsupported(Kind.TERMINAL),

    // Saving.

    /** The store has not enough room for the image. */
    NotEnoughSpace(Kind.RETRYABLE),

    /** The kubelet would end QEMU before the save is done: a liveness probe that asks the guest does not bear so long a pause. */
    LivenessProbeTooShort(Kind.TERMINAL),

    /** QEMU reported that the save failed. */
    SaveFailed(Kind.TERMINAL),

    /** The written file failed the checks before commit. */
    ImageCheckFailed(Kind.TERMINAL),

    /** The store's file system answered with an error. */
    StoreFailed(Kind.RETRYABLE),

    /** {@code deadlineSeconds} passed. */
    DeadlineExceeded(Kind.TERMINAL),

    /** Somebody set {@code spec.cancel}, or deleted the object while the work was under way. */
    Cancelled(Kind.CANCELLED),

    /** The agent was restarted in the middle; what was begun was undone. */
    AgentRestarted(Kind.RETRYABLE),

    // Restoring.

    /** The image's file is not in the store. */
    ImageMissing(Kind.TERMINAL),

    /** The image's file is shorter or longer than recorded. */
    ImageTruncated(Kind.TERMINAL),

    /** A checksum of the image does not match. */
    ImageDamaged(Kind.TERMINAL),

    /** The image was never committed. */
    ImageIncomplete(Kind.TERMINAL),

    /** The image was written by a newer release, and says which version reads it. */
    ImageFormatTooNew(Kind.TERMINAL),

    /** The image is a file of libvirt's in a compression that is not read here. */
    ImageFormatUnsupported(Kind.TERMINAL),

    /** The target QEMU was not started with {@code -incoming defer}, or was already fed. */
    NotIncoming(Kind.TERMINAL),

    /** The target's versioned machine type is not the image's. */
    MachineTypeMismatch(Kind.TERMINAL),

    /** A RAM block of the target has another size than in the image. */
    MemorySizeMismatch(Kind.TERMINAL),

    /** The target has another number of vCPUs. */
    VCPUsMismatch(Kind.TERMINAL),

    /** The target's CPU model or accelerator is not the image's, or its CPU lacks features that the guest was started with. */
    CPUMismatch(Kind.TERMINAL),

    /** The target has another UUID. */
    UUIDMismatch(Kind.TERMINAL),

    /** The target has other devices. */
    DevicesMismatch(Kind.TERMINAL),

    /** QEMU reported that loading the image failed; the process is spent. */
    LoadFailed(Kind.TERMINAL),

    /** {@code strategy: Lazy} was asked for, and the VM's memory cannot be mapped from its image. */
    LazyNotPossible(Kind.TERMINAL),

    /** The pod that was to be resumed went away before the guest ran. */
    PodGone(Kind.TERMINAL),

    // Anything else.

    /** A bug of ours; the log has the details. */
    Internal(Kind.RETRYABLE);

    /** What can be expected of trying again. */
    public enum Kind {
        /** The cause may pass by itself: tried again until the deadline. */
        RETRYABLE,
        /** The same request would fail again: a person changes something and asks anew. */
        TERMINAL,
        /** Somebody asked for the end. */
        CANCELLED
    }

    private final Kind kind;

    FailureReason(Kind kind) {
        this.kind = kind;
    }

    /** Returns the reason of a name; empty if it is no failure, or one that only a newer peer knows. */
    public static Optional<FailureReason> named(@Nullable String name) {
        return Arrays.stream(values())
                .filter(reason -> reason.name().equals(name))
                .findFirst();
    }

    /** Returns what can be expected of trying again. */
    public Kind kind() {
        return kind;
    }

    /** Tells whether the image itself cannot be restored as it is, whoever tries. */
    public boolean isOfImage() {
        return switch (this) {
            case ImageMissing,
                    ImageTruncated,
                    ImageDamaged,
                    ImageIncomplete,
                    ImageFormatTooNew,
                    ImageFormatUnsupported -> true;
            default -> false;
        };
    }
}
