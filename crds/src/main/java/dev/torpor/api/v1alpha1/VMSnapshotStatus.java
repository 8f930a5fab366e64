package dev.torpor.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonClassDescription;
import com.fasterxml.jackson.annotation.JsonFormat;
import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.kubernetes.api.model.Condition;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What became of a VMSnapshot. Each field and condition type has one writer: operator or agent. */
@JsonIgnoreProperties(ignoreUnknown = true)
@JsonInclude(JsonInclude.Include.NON_NULL)
@JsonClassDescription(
        "What became of the save, and what became of its image since. The conditions are the truth, the rest explains them.")
public final class VMSnapshotStatus {
    @JsonPropertyDescription("Generation of the spec that the status speaks of.")
    private @Nullable Long observedGeneration;

    @JsonPropertyDescription("Summary of the conditions, for people.")
    @JsonFormat(with = JsonFormat.Feature.READ_UNKNOWN_ENUM_VALUES_AS_NULL)
    private @Nullable SnapshotPhase phase;

    @JsonPropertyDescription(
            "What is known, one entry for each type. Ready: the image can be restored; Stalled: the save failed for good; Reconciling: work is under way; Saved: the image is committed on the node's disk; ImageAvailable: its file is there and its checksums hold; Verified: all of its pages were read back since and have checksums.")
    private @Nullable List<Condition> conditions;

    @JsonPropertyDescription("Name of the VMSnapshotClass that was used.")
    private @Nullable String className;

    @JsonPropertyDescription("Node of the VM and of the image.")
    private @Nullable String nodeName;

    @JsonPropertyDescription("UID of the node object.")
    private @Nullable String nodeUID;

    @JsonPropertyDescription("Identity of the image store on the node.")
    private @Nullable String storeID;

    @JsonPropertyDescription("Pod that ran the VM.")
    private @Nullable ObjectName pod;

    @JsonPropertyDescription("IP address of that pod. A pod that brings the VM back has another one.")
    private @Nullable String podIP;

    @JsonPropertyDescription("Name of the ControllerRevision with the pod's recorded manifest.")
    private @Nullable String manifestRevision;

    @JsonPropertyDescription(
            "PersistentVolumeClaims of that pod. The image belongs to these, and not to others of the same names.")
    private @Nullable List<ObjectName> claims;

    @JsonPropertyDescription(
            "Of a Checkpoint: the CSI VolumeSnapshots that belong to it, one for each PersistentVolumeClaim.")
    private @Nullable List<VolumeSnapshotStatus> volumeSnapshots;

    @JsonPropertyDescription("A cancel was seen; it cannot be taken back.")
    private @Nullable Boolean cancelRequested;

    @JsonPropertyDescription("How far the save is.")
    private @Nullable Progress progress;

    @JsonPropertyDescription("Engine that wrote the image, such as qemu-direct.")
    private @Nullable String engine;

    @JsonPropertyDescription("How QEMU compressed the memory; absent: not at all.")
    private @Nullable CompressionMethod compression;

    @JsonPropertyDescription("Number of channels that wrote at the same time.")
    private @Nullable Integer channels;

    @JsonPropertyDescription("Whether the page cache was bypassed with O_DIRECT.")
    private @Nullable Boolean directIO;

    @JsonPropertyDescription("The image file.")
    private @Nullable ImageStatus image;

    @JsonPropertyDescription("What was saved.")
    private @Nullable VMStatus vm;

    @JsonPropertyDescription("When the save began, RFC 3339.")
    private @Nullable String startTime;

    @JsonPropertyDescription("When the image was committed, RFC 3339.")
    private @Nullable String completionTime;

    @JsonPropertyDescription(
            "Since when the guest is paused for VolumeSnapshots, RFC 3339. Absent as soon as it goes on; which pause they belong to.")
    private @Nullable String pausedAt;

    @JsonPropertyDescription("Seconds for which the guest was paused.")
    private @Nullable Double pausedSeconds;

    @JsonPropertyDescription(
            "Of a Checkpoint: whether the guest's agent froze its file systems for it. Absent if the VM has no channel to one.")
    private @Nullable Boolean quiesced;

    @JsonPropertyDescription("When all pages of the image were last read and found to be what they were, RFC 3339.")
    private @Nullable String verifiedTime;

    @JsonPropertyDescription("Value of the annotation torpor.dev/verify-requested-at that was last carried out.")
    private @Nullable String handledVerifyRequest;

    @JsonPropertyDescription("The restore that consumed the image.")
    private @Nullable ConsumedBy consumedBy;

    @JsonPropertyDescription("Why the save was given up. Set once; the save is over.")
    private @Nullable FailureStatus failure;

    public @Nullable Long getObservedGeneration() {
        return observedGeneration;
    }

    public void setObservedGeneration(@Nullable Long observedGeneration) {
        this.observedGeneration = observedGeneration;
    }

    public @Nullable SnapshotPhase getPhase() {
        return phase;
    }

    public void setPhase(@Nullable SnapshotPhase phase) {
        this.phase = phase;
    }

    public @Nullable List<Condition> getConditions() {
        return conditions;
    }

    public void setConditions(@Nullable List<Condition> conditions) {
        this.conditions = conditions;
    }

    public @Nullable String getClassName() {
        return className;
    }

    public void setClassName(@Nullable String className) {
        this.className = className;
    }

    public @Nullable String getNodeName() {
        return nodeName;
    }

    public void setNodeName(@Nullable String nodeName) {
        this.nodeName = nodeName;
    }

    public @Nullable String getNodeUID() {
        return nodeUID;
    }

    public void setNodeUID(@Nullable String nodeUID) {
        this.nodeUID = nodeUID;
    }

    public @Nullable String getStoreID() {
        return storeID;
    }

    public void setStoreID(@Nullable String storeID) {
        this.storeID = storeID;
    }

    public @Nullable ObjectName getPod() {
        return pod;
    }

    public void setPod(@Nullable ObjectName pod) {
        this.pod = pod;
    }

    public @Nullable String getPodIP() {
        return podIP;
    }

    public void setPodIP(@Nullable String podIP) {
        this.podIP = podIP;
    }

    public @Nullable String getManifestRevision() {
        return manifestRevision;
    }

    public void setManifestRevision(@Nullable String manifestRevision) {
        this.manifestRevision = manifestRevision;
    }

    public @Nullable List<ObjectName> getClaims() {
        return claims;
    }

    public void setClaims(@Nullable List<ObjectName> claims) {
        this.claims = claims;
    }

    public @Nullable List<VolumeSnapshotStatus> getVolumeSnapshots() {
        return volumeSnapshots;
    }

    public void setVolumeSnapshots(@Nullable List<VolumeSnapshotStatus> volumeSnapshots) {
        this.volumeSnapshots = volumeSnapshots;
    }

    public @Nullable String getPausedAt() {
        return pausedAt;
    }

    public void setPausedAt(@Nullable String pausedAt) {
        this.pausedAt = pausedAt;
    }

    public @Nullable Boolean getCancelRequested() {
        return cancelRequested;
    }

    public void setCancelRequested(@Nullable Boolean cancelRequested) {
        this.cancelRequested = cancelRequested;
    }

    public @Nullable Progress getProgress() {
        return progress;
    }

    public void setProgress(@Nullable Progress progress) {
        this.progress = progress;
    }

    public @Nullable String getEngine() {
        return engine;
    }

    public void setEngine(@Nullable String engine) {
        this.engine = engine;
    }

    public @Nullable CompressionMethod getCompression() {
        return compression;
    }

    public void setCompression(@Nullable CompressionMethod compression) {
        this.compression = compression;
    }

    public @Nullable Integer getChannels() {
        return channels;
    }

    public void setChannels(@Nullable Integer channels) {
        this.channels = channels;
    }

    public @Nullable Boolean getDirectIO() {
        return directIO;
    }

    public void setDirectIO(@Nullable Boolean directIO) {
        this.directIO = directIO;
    }

    public @Nullable ImageStatus getImage() {
        return image;
    }

    public void setImage(@Nullable ImageStatus image) {
        this.image = image;
    }

    public @Nullable VMStatus getVm() {
        return vm;
    }

    public void setVm(@Nullable VMStatus vm) {
        this.vm = vm;
    }

    public @Nullable String getStartTime() {
        return startTime;
    }

    public void setStartTime(@Nullable String startTime) {
        this.startTime = startTime;
    }

    public @Nullable String getCompletionTime() {
        return completionTime;
    }

    public void setCompletionTime(@Nullable String completionTime) {
        this.completionTime = completionTime;
    }

    public @Nullable Double getPausedSeconds() {
        return pausedSeconds;
    }

    public void setPausedSeconds(@Nullable Double pausedSeconds) {
        this.pausedSeconds = pausedSeconds;
    }

    public @Nullable Boolean getQuiesced() {
        return quiesced;
    }

    public void setQuiesced(@Nullable Boolean quiesced) {
        this.quiesced = quiesced;
    }

    public @Nullable ConsumedBy getConsumedBy() {
        return consumedBy;
    }

    public void setConsumedBy(@Nullable ConsumedBy consumedBy) {
        this.consumedBy = consumedBy;
    }

    public @Nullable FailureStatus getFailure() {
        return failure;
    }

    public void setFailure(@Nullable FailureStatus failure) {
        this.failure = failure;
    }

    public @Nullable String getVerifiedTime() {
        return verifiedTime;
    }

    public void setVerifiedTime(@Nullable String verifiedTime) {
        this.verifiedTime = verifiedTime;
    }

    public @Nullable String getHandledVerifyRequest() {
        return handledVerifyRequest;
    }

    public void setHandledVerifyRequest(@Nullable String handledVerifyRequest) {
        this.handledVerifyRequest = handledVerifyRequest;
    }
}
