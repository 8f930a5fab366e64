package dev.torpor.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Size;
import io.fabric8.generator.annotation.ValidationRule;
import org.jspecify.annotations.Nullable;

/** Which instance of the VM is meant. */
@JsonIgnoreProperties(ignoreUnknown = true)
public record SourceSpec(
        @JsonPropertyDescription(
                "UID of the pod that runs the VM; a snapshot of any other instance is refused. Absent: whichever is live.")
        @Nullable
        @Size(min = 1, max = 64)
        @ValidationRule(
                value = "self.matches('^[A-Za-z0-9-]*$')",
                message = "must be a pod's metadata.uid: letters, digits and '-'")
        String podUID,

        @JsonPropertyDescription(
                "UID of an image that is in the node's store already: the agent made it by itself when the VM's pod was terminated. Nothing is saved then. Only Torpor's operator sets it.")
        @Nullable
        @Size(min = 1, max = 63)
        @ValidationRule(
                value = "self.matches('^[A-Za-z0-9-]*$')",
                message = "must be an image's UID: letters, digits and '-'")
        String imageUID) {
    /** Names an instance that is still to be saved. */
    public static SourceSpec ofPod(String podUID) {
        return new SourceSpec(podUID, null);
    }
}
