package dev.torpor.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import org.jspecify.annotations.Nullable;

/** What the agent in a guest was asked to do. */
@JsonIgnoreProperties(ignoreUnknown = true)
public record GuestStatus(
        @JsonPropertyDescription("Version that the guest's agent says it has.") @Nullable
        String agentVersion,

        @JsonPropertyDescription("Whether the guest's clock was set.") @Nullable
        Boolean clockSet,

        @JsonPropertyDescription("Why not, if it was not.") @Nullable
        String message) {}
