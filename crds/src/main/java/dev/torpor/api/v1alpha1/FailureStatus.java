package dev.torpor.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import org.jspecify.annotations.Nullable;

/** The last failure. */
@JsonIgnoreProperties(ignoreUnknown = true)
public record FailureStatus(
        @JsonPropertyDescription("Machine-readable reason; see the table of reasons.") @Nullable
        String reason,

        @JsonPropertyDescription("What failed, what state the VM and the image are in, and what to do.") @Nullable
        String message) {}
