package dev.torpor.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import org.jspecify.annotations.Nullable;

/** The process that the image was handed over to. */
@JsonIgnoreProperties(ignoreUnknown = true)
public record ConsumedBy(
        @JsonPropertyDescription("Name of the VMRestore.") @Nullable
        String restoreName,

        @JsonPropertyDescription("Name of the pod.") @Nullable
        String podName,

        @JsonPropertyDescription("UID of the pod.") @Nullable
        String podUID,

        @JsonPropertyDescription("When, RFC 3339.") @Nullable
        String time) {}
