package dev.torpor.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** What became of a node's VMs when the node was shut down without a drain. */
@JsonIgnoreProperties(ignoreUnknown = true)
public record NodeShutdownStatus(
        @JsonPropertyDescription("When the node's logind told of it (RFC 3339).") @Nullable
        String beganAt,

        @JsonPropertyDescription("Seconds that logind waited for the agent.") @Nullable
        Long waitSeconds,

        @JsonPropertyDescription("How many VMs were saved, those that had been saved just before included.") @Nullable
        Integer savedVMs,

        @JsonPropertyDescription("Whether the shutdown was given up.") @Nullable
        Boolean cancelled,

        @JsonPropertyDescription("VMs that ran and were not saved, most important first, 100 of them at most.")
        @Nullable
        List<UnsavedVM> notSaved) {

    /** Returns the VMs that were not saved. */
    public List<UnsavedVM> unsaved() {
        return Objects.requireNonNullElse(notSaved, List.of());
    }
}
