package dev.torpor.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonClassDescription;
import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Min;
import org.jspecify.annotations.Nullable;

/** Defaults for snapshots. A snapshot's own fields win. */
@JsonIgnoreProperties(ignoreUnknown = true)
@JsonClassDescription("Defaults for snapshots; a snapshot's own fields win.")
public record VMSnapshotClassSpec(
        @JsonPropertyDescription(
                "What writes images. Auto: qemu-direct if the VM's QEMU has it and nothing is to be compressed, else multifd-stream; QemuDirect: QEMU writes the image itself (9.0 and newer), which alone can be resumed lazily; MultifdStream: QEMU's channels are recorded (4.0 and newer). Absent: Auto.")
        @Nullable
        EngineChoice engine,

        @JsonPropertyDescription("How saves are parallelized, and compressed.") @Nullable
        ParallelSpec parallel,

        @Min(0)
        @JsonPropertyDescription("Most bytes per second that one save may write. Absent or 0: unlimited.")
        @Nullable
        Long bandwidthBytesPerSecond,

        @JsonPropertyDescription("What becomes of the image file when its object is deleted. Absent: Delete.") @Nullable
        DeletionPolicy deletionPolicy,

        @JsonPropertyDescription(
                "What becomes of a VM that a drain of its node cannot save. Block: it runs on, and the drain waits until somebody helps; Shutdown: its guest is asked to shut down (ACPI), and its pod is deleted once QEMU has ended; a guest that does not within the pod's terminationGracePeriodSeconds runs on, and the drain waits; Delete: its pod is deleted, and its memory is lost. Absent: Block.")
        @Nullable
        OnSaveFailure onSaveFailure,

        @JsonPropertyDescription(
                "What a drain does with a VM whose node is about to be deleted, as a taint of an autoscaler says. Block: it runs on, and the drain waits until somebody helps; Shutdown: it is not saved, its guest is asked to shut down (ACPI), and its pod is deleted once QEMU has ended, for the VM to boot elsewhere; a guest that does not within the pod's terminationGracePeriodSeconds runs on, and the drain waits; Save: it is saved as ever, because the disk of the store outlives the node. Absent: Block.")
        @Nullable
        OnNodeRemoval onNodeRemoval,

        @JsonPropertyDescription(
                "Whether the pages of images are read back. AfterSave: all of them, gently, once the image is Ready, and again from time to time; Never: on request only. Absent: AfterSave.")
        @Nullable
        VerifyPolicy verify,

        @JsonPropertyDescription(
                "That CSI VolumeSnapshots are taken with Checkpoints, of the PersistentVolumeClaims of the VM's pod and in the same pause. Absent: none.")
        @Nullable
        VolumeSnapshotsSpec volumeSnapshots) {
    /** Of a class without VolumeSnapshots. */
    public VMSnapshotClassSpec(
            @Nullable EngineChoice engine,
            @Nullable ParallelSpec parallel,
            @Nullable Long bandwidthBytesPerSecond,
            @Nullable DeletionPolicy deletionPolicy,
            @Nullable OnSaveFailure onSaveFailure,
            @Nullable OnNodeRemoval onNodeRemoval,
            @Nullable VerifyPolicy verify) {
        this(engine, parallel, bandwidthBytesPerSecond, deletionPolicy, onSaveFailure, onNodeRemoval, verify, null);
    }
}
