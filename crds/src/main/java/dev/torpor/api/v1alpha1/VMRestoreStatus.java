package dev.torpor.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonClassDescription;
import com.fasterxml.jackson.annotation.JsonFormat;
import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.kubernetes.api.model.Condition;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What became of a VMRestore. Each field and condition type has one writer: operator or agent. */
@JsonIgnoreProperties(ignoreUnknown = true)
@JsonInclude(JsonInclude.Include.NON_NULL)
@JsonClassDescription("What became of the restore. The conditions are the truth, the rest explains them.")
public final class VMRestoreStatus {
    @JsonPropertyDescription("Generation of the spec that the status speaks of.")
    private @Nullable Long observedGeneration;

    @JsonPropertyDescription("Summary of the conditions, for people.")
    @JsonFormat(with = JsonFormat.Feature.READ_UNKNOWN_ENUM_VALUES_AS_NULL)
    private @Nullable RestorePhase phase;

    @JsonPropertyDescription(
            "What is known, one entry for each type. Ready: the VM is back; Stalled: it failed for good; Reconciling: work is under way; ImageAvailable: the image was found and checked; Resumed: the guest was handed over in the run state that was asked for; Verified: its memory was compared with the image's checksums as it ran.")
    private @Nullable List<Condition> conditions;

    @JsonPropertyDescription("Node of the image, where the VM is started.")
    private @Nullable String nodeName;

    @JsonPropertyDescription("UID of the VMSnapshot that is restored.")
    private @Nullable String snapshotUID;

    @JsonPropertyDescription(
            "UID of its image: the VMSnapshot's own, unless the agent made the image by itself when a pod was terminated.")
    private @Nullable String imageUID;

    @JsonPropertyDescription("Name of the VM.")
    private @Nullable String vmName;

    @JsonPropertyDescription("Pod that runs the VM again.")
    private @Nullable ObjectName pod;

    @JsonPropertyDescription("IP address of that pod, once the VM is back.")
    private @Nullable String podIP;

    @JsonPropertyDescription(
            "IP address of the pod that was saved. A guest that uses its pod's address itself still believes in this one.")
    private @Nullable String savedPodIP;

    @JsonPropertyDescription("How far the load is.")
    private @Nullable Progress progress;

    @JsonPropertyDescription("How memory is brought back: Eager or Lazy.")
    private @Nullable String strategy;

    @JsonPropertyDescription("Why memory is not brought back lazily, where strategy Auto would have had it so.")
    private @Nullable String strategyReason;

    @JsonPropertyDescription("When the restore began, RFC 3339.")
    private @Nullable String startTime;

    @JsonPropertyDescription("When the guest ran, RFC 3339.")
    private @Nullable String completionTime;

    @JsonPropertyDescription("Seconds from the start of the load until the guest ran.")
    private @Nullable Double loadSeconds;

    @JsonPropertyDescription(
            "Seconds from the start of the load until all memory had been read: as loadSeconds if Eager, later if Lazy.")
    private @Nullable Double residentSeconds;

    @JsonPropertyDescription(
            "Seconds from the start of the load until all memory had been compared with the checksums of the image.")
    private @Nullable Double verifiedSeconds;

    @JsonPropertyDescription("What the agent in the guest did, if the VM has a channel to one.")
    private @Nullable GuestStatus guest;

    @JsonPropertyDescription("Why the restore was given up. Set once; the restore is over.")
    private @Nullable FailureStatus failure;

    public @Nullable Long getObservedGeneration() {
        return observedGeneration;
    }

    public void setObservedGeneration(@Nullable Long observedGeneration) {
        this.observedGeneration = observedGeneration;
    }

    public @Nullable RestorePhase getPhase() {
        return phase;
    }

    public void setPhase(@Nullable RestorePhase phase) {
        this.phase = phase;
    }

    public @Nullable List<Condition> getConditions() {
        return conditions;
    }

    public void setConditions(@Nullable List<Condition> conditions) {
        this.conditions = conditions;
    }

    public @Nullable String getNodeName() {
        return nodeName;
    }

    public void setNodeName(@Nullable String nodeName) {
        this.nodeName = nodeName;
    }

    public @Nullable String getSnapshotUID() {
        return snapshotUID;
    }

    public void setSnapshotUID(@Nullable String snapshotUID) {
        this.snapshotUID = snapshotUID;
    }

    public @Nullable String getImageUID() {
        return imageUID;
    }

    public void setImageUID(@Nullable String imageUID) {
        this.imageUID = imageUID;
    }

    public @Nullable String getVmName() {
        return vmName;
    }

    public void setVmName(@Nullable String vmName) {
        this.vmName = vmName;
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

    public @Nullable String getSavedPodIP() {
        return savedPodIP;
    }

    public void setSavedPodIP(@Nullable String savedPodIP) {
        this.savedPodIP = savedPodIP;
    }

    public @Nullable Progress getProgress() {
        return progress;
    }

    public void setProgress(@Nullable Progress progress) {
        this.progress = progress;
    }

    public @Nullable String getStrategy() {
        return strategy;
    }

    public void setStrategy(@Nullable String strategy) {
        this.strategy = strategy;
    }

    public @Nullable String getStrategyReason() {
        return strategyReason;
    }

    public void setStrategyReason(@Nullable String strategyReason) {
        this.strategyReason = strategyReason;
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

    public @Nullable Double getLoadSeconds() {
        return loadSeconds;
    }

    public void setLoadSeconds(@Nullable Double loadSeconds) {
        this.loadSeconds = loadSeconds;
    }

    public @Nullable Double getResidentSeconds() {
        return residentSeconds;
    }

    public void setResidentSeconds(@Nullable Double residentSeconds) {
        this.residentSeconds = residentSeconds;
    }

    public @Nullable GuestStatus getGuest() {
        return guest;
    }

    public void setGuest(@Nullable GuestStatus guest) {
        this.guest = guest;
    }

    public @Nullable FailureStatus getFailure() {
        return failure;
    }

    public void setFailure(@Nullable FailureStatus failure) {
        this.failure = failure;
    }

    public @Nullable Double getVerifiedSeconds() {
        return verifiedSeconds;
    }

    public void setVerifiedSeconds(@Nullable Double verifiedSeconds) {
        this.verifiedSeconds = verifiedSeconds;
    }
}
