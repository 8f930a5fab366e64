package dev.torpor.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import org.jspecify.annotations.Nullable;

/** Which instance of the VM is meant. */
public record SourceSpec(
        @JsonPropertyDescription(
                "UID of the pod that runs the VM; a snapshot of any other instance is refused. Absent: whichever is live.")
        @Nullable
        String podUID) {}
