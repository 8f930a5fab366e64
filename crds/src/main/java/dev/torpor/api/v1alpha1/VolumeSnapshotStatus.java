package dev.torpor.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import org.jspecify.annotations.Nullable;

/** A CSI VolumeSnapshot that belongs to a checkpoint. */
@JsonIgnoreProperties(ignoreUnknown = true)
@JsonInclude(JsonInclude.Include.NON_NULL)
public record VolumeSnapshotStatus(
        @JsonPropertyDescription("Name of the PersistentVolumeClaim.") @Nullable
        String claimName,

        @JsonPropertyDescription("Name of the VolumeSnapshot. Absent until the guest is paused for it.") @Nullable
        String name,

        @JsonPropertyDescription("When the storage cut it, RFC 3339.") @Nullable
        String creationTime,

        @JsonPropertyDescription("Whether a volume can be made from it.") @Nullable
        Boolean readyToUse,

        @JsonPropertyDescription("Why there is none.") @Nullable
        String error) {
    /** Of a claim whose guest is not paused yet. */
    public static VolumeSnapshotStatus planned(@Nullable String claimName) {
        return new VolumeSnapshotStatus(claimName, null, null, null, null);
    }
}
