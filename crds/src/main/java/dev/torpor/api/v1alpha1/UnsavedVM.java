package dev.torpor.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import org.jspecify.annotations.Nullable;

/** A VM that was not saved before its node was shut down. */
@JsonIgnoreProperties(ignoreUnknown = true)
public record UnsavedVM(
        @JsonPropertyDescription("Namespace of the VM.") @Nullable
        String namespace,

        @JsonPropertyDescription("Name of the VM.") @Nullable
        String vmName,

        @JsonPropertyDescription("UID of the pod that it ran in.") @Nullable
        String podUID,

        @JsonPropertyDescription(
                "NotWanted (its policy, or its pod was deleted), or the reason why it was not begun or failed: DeadlineExceeded for those for which there was no time.")
        @Nullable
        String reason,

        @JsonPropertyDescription("The same in words.") @Nullable
        String message) {}
