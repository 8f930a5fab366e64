package dev.torpor.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import org.jspecify.annotations.Nullable;

/** Name and UID of an object in the same namespace. */
@JsonIgnoreProperties(ignoreUnknown = true)
public record ObjectName(
        @JsonPropertyDescription("Name of the object.") @Nullable
        String name,

        @JsonPropertyDescription("UID of the object.") @Nullable
        String uid) {}
