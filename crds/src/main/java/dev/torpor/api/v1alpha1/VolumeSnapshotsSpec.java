package dev.torpor.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Default;
import io.fabric8.generator.annotation.Max;
import io.fabric8.generator.annotation.Min;
import io.fabric8.generator.annotation.Size;
import org.jspecify.annotations.Nullable;

/** Which CSI VolumeSnapshots are taken with a checkpoint. */
@JsonIgnoreProperties(ignoreUnknown = true)
public record VolumeSnapshotsSpec(
        @JsonPropertyDescription("Name of the VolumeSnapshotClass. Absent: the default one of the volume's driver.")
        @Nullable
        @Size(min = 1, max = 253)
        String className,

        @Default("60")
        @Min(1)
        @Max(3600)
        @JsonPropertyDescription(
                "Seconds for which the guest stays paused for them at most; if they are not cut by then the Checkpoint fails, and the VM carries on.")
        @Nullable
        Integer timeoutSeconds) {
    private static final int TIMEOUT_SECONDS = 60;

    /** Returns the seconds for which the guest stays paused for them at most. */
    public int timeoutSecondsOrDefault() {
        return timeoutSeconds == null ? TIMEOUT_SECONDS : timeoutSeconds;
    }

    /** Returns what applies to a snapshot: its own word, else for checkpoints that of its class; null if none are wanted. */
    public static @Nullable VolumeSnapshotsSpec of(VMSnapshotSpec spec, @Nullable VMSnapshotClassSpec defaults) {
        if (spec.mode() != SaveMode.Checkpoint || spec.volumeSnapshots() != null || defaults == null) {
            return spec.volumeSnapshots();
        }
        return defaults.volumeSnapshots();
    }
}
