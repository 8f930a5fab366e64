package dev.torpor.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonClassDescription;
import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** What an agent tells of its store. */
@JsonIgnoreProperties(ignoreUnknown = true)
@JsonClassDescription("What the node's agent tells of its store.")
public record NodeStoreStatus(
        @JsonPropertyDescription("Identity of the store; another disk has another one.") @Nullable
        String storeID,

        @JsonPropertyDescription("UID of the Node object.") @Nullable
        String nodeUID,

        @JsonPropertyDescription("Bytes that may still be written, as of the last time that something else changed.")
        @Nullable
        Long freeBytes,

        @JsonPropertyDescription("How many images the store has, of all states.") @Nullable
        Integer images,

        @JsonPropertyDescription("Version of the agent.") @Nullable
        String agentVersion,

        @JsonPropertyDescription(
                "VMs that the agent saved by itself, because their pods were terminated, and that nobody has started since. The operator makes a VMSnapshot for each.")
        @Nullable
        List<TerminationSave> terminationSaves,

        @JsonPropertyDescription(
                "What became of the node's VMs when it was last shut down without a drain, where the agent is told of shutdowns.")
        @Nullable
        NodeShutdownStatus lastShutdown) {

    /** Returns the VMs that the agent saved by itself. */
    public List<TerminationSave> saves() {
        return Objects.requireNonNullElse(terminationSaves, List.of());
    }
}
