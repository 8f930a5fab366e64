package dev.torpor.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonClassDescription;
import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Default;
import io.fabric8.generator.annotation.Max;
import io.fabric8.generator.annotation.Min;
import io.fabric8.generator.annotation.Required;
import io.fabric8.generator.annotation.Size;
import io.fabric8.generator.annotation.ValidationRule;
import org.jspecify.annotations.Nullable;

/** What to save, and how. Immutable but for cancel and deletionPolicy. */
@JsonIgnoreProperties(ignoreUnknown = true)
@ValidationRule(
        value = "self.vmName == oldSelf.vmName",
        fieldPath = ".vmName",
        message = "vmName" + VMSnapshotSpec.FROZEN)
@ValidationRule(
        value = "has(self.mode) == has(oldSelf.mode) && (!has(self.mode) || self.mode == oldSelf.mode)",
        fieldPath = ".mode",
        message = "mode" + VMSnapshotSpec.FROZEN)
@ValidationRule(
        value =
                "has(self.className) == has(oldSelf.className) && (!has(self.className) || self.className == oldSelf.className)",
        fieldPath = ".className",
        message = "className" + VMSnapshotSpec.FROZEN)
@ValidationRule(
        value = "has(self.source) == has(oldSelf.source) && (!has(self.source) || self.source == oldSelf.source)",
        fieldPath = ".source",
        message = "source" + VMSnapshotSpec.FROZEN)
@ValidationRule(
        value =
                "has(self.parallel) == has(oldSelf.parallel) && (!has(self.parallel) || self.parallel == oldSelf.parallel)",
        fieldPath = ".parallel",
        message = "parallel" + VMSnapshotSpec.FROZEN)
@ValidationRule(
        value =
                "has(self.deadlineSeconds) == has(oldSelf.deadlineSeconds) && (!has(self.deadlineSeconds) || self.deadlineSeconds == oldSelf.deadlineSeconds)",
        fieldPath = ".deadlineSeconds",
        message = "deadlineSeconds" + VMSnapshotSpec.FROZEN)
@ValidationRule(
        value = "has(self.resume) == has(oldSelf.resume) && (!has(self.resume) || self.resume == oldSelf.resume)",
        fieldPath = ".resume",
        message = "resume" + VMSnapshotSpec.FROZEN)
@ValidationRule(
        value =
                "has(self.volumeSnapshots) == has(oldSelf.volumeSnapshots) && (!has(self.volumeSnapshots) || self.volumeSnapshots == oldSelf.volumeSnapshots)",
        fieldPath = ".volumeSnapshots",
        message = "volumeSnapshots" + VMSnapshotSpec.FROZEN)
@ValidationRule(
        value = "!has(self.volumeSnapshots) || (has(self.mode) && self.mode == 'Checkpoint')",
        fieldPath = ".volumeSnapshots",
        message = "volumeSnapshots is for mode Checkpoint only: after the other modes the disks stay as they are")
@ValidationRule(
        value = "!has(self.resume) || (has(self.mode) && self.mode == 'ManagedSave')",
        fieldPath = ".resume",
        message = "resume is for mode ManagedSave only: what starts the VM again after the other modes is up to you")
@ValidationRule(
        value = "has(self.verify) == has(oldSelf.verify) && (!has(self.verify) || self.verify == oldSelf.verify)",
        fieldPath = ".verify",
        message = "verify" + VMSnapshotSpec.FROZEN)
@JsonClassDescription("What to save, and how. Immutable but for cancel and deletionPolicy: it is one save.")
public record VMSnapshotSpec(
        @Required
        @Size(min = 1, max = 63)
        @ValidationRule(
                value = "self.matches('^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$')",
                message =
                        "must be the value of the label torpor.dev/vm of the VM's pod: letters, digits, '-', '_' and '.', a letter or digit at both ends")
        @JsonPropertyDescription("Name of the VM: value of the label torpor.dev/vm of its pod.")
        String vmName,

        @Default("Save")
        @JsonPropertyDescription(
                "What happens to the VM afterwards: Save stops it, Checkpoint lets it carry on, ManagedSave stops it, and its next start resumes it from here.")
        @Nullable
        SaveMode mode,

        @JsonPropertyDescription(
                "Name of the VMSnapshotClass with defaults. Absent: the class annotated as default, if there is one.")
        @Nullable
        @Size(min = 1, max = 253)
        String className,

        @JsonPropertyDescription("Which instance of the VM is meant.") @Nullable
        SourceSpec source,

        @JsonPropertyDescription("How the save is parallelized; what is absent is chosen for the machine.") @Nullable
        ParallelSpec parallel,

        @Default("300")
        @Min(1)
        @Max(86400)
        @JsonPropertyDescription(
                "Seconds from the creation of the object after which the save is given up and the VM carries on.")
        @Nullable
        Integer deadlineSeconds,

        @JsonPropertyDescription(
                "Set to true to cancel: the VM carries on and the file is deleted. Without effect once saved.")
        @Nullable
        Boolean cancel,

        @JsonPropertyDescription(
                "What becomes of the image file when this object is deleted. Absent: the class decides, else Delete.")
        @Nullable
        DeletionPolicy deletionPolicy,

        @JsonPropertyDescription(
                "Of a ManagedSave: what starts the VM again. WhenReady: the operator, as soon as the node takes pods and its store answers; Manual: a VMRestore. Absent: WhenReady.")
        @Nullable
        ResumePolicy resume,

        @JsonPropertyDescription(
                "Whether the image's pages are read back. AfterSave: all of them, gently, once the image is Ready, and again from time to time; Never: on request only, and a restore with strategy Auto loads all memory before the guest runs. Absent: the class decides, else AfterSave.")
        @Nullable
        VerifyPolicy verify,

        @JsonPropertyDescription(
                "Of a Checkpoint: that CSI VolumeSnapshots of the PersistentVolumeClaims of the VM's pod are taken in the same pause. Absent: as the class says, else none.")
        @Nullable
        VolumeSnapshotsSpec volumeSnapshots) {
    static final String FROZEN = " cannot be changed: a VMSnapshot is one save; create another VMSnapshot instead";

    /** Of a save without VolumeSnapshots. */
    public VMSnapshotSpec(
            String vmName,
            @Nullable SaveMode mode,
            @Nullable String className,
            @Nullable SourceSpec source,
            @Nullable ParallelSpec parallel,
            @Nullable Integer deadlineSeconds,
            @Nullable Boolean cancel,
            @Nullable DeletionPolicy deletionPolicy,
            @Nullable ResumePolicy resume,
            @Nullable VerifyPolicy verify) {
        this(vmName, mode, className, source, parallel, deadlineSeconds, cancel, deletionPolicy, resume, verify, null);
    }
}
