package dev.torpor.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonClassDescription;
import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Default;
import io.fabric8.generator.annotation.Max;
import io.fabric8.generator.annotation.Min;
import io.fabric8.generator.annotation.Required;
import io.fabric8.generator.annotation.Size;
import io.fabric8.generator.annotation.ValidationRule;
import org.jspecify.annotations.Nullable;

/** Which snapshot to restore, and how. Immutable. */
@JsonIgnoreProperties(ignoreUnknown = true)
@ValidationRule(
        value = "self == oldSelf",
        message = "spec cannot be changed: a VMRestore is one restore; create another VMRestore instead")
@JsonClassDescription("Which snapshot to restore, and how. Immutable: it is one restore.")
public record VMRestoreSpec(
        @Required
        @Size(min = 1, max = 253)
        @ValidationRule(
                value = "self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",
                message =
                        "must be the name of a VMSnapshot in this namespace: lower-case letters, digits, '-' and '.', a letter or digit at both ends")
        @JsonPropertyDescription("Name of the VMSnapshot in the same namespace.")
        String snapshotName,

        @Default("Auto") @JsonPropertyDescription("How memory is brought back.") @Nullable
        RestoreStrategy strategy,

        @Default("Unchanged")
        @JsonPropertyDescription(
                "What is known of the VM's disks: Unchanged refuses if the VM has run since, Restored and Ephemeral allow it.")
        @Nullable
        DisksPolicy disks,

        @Default("AsSaved") @JsonPropertyDescription("Whether the guest runs afterwards.") @Nullable
        RunStatePolicy runState,

        @Default("300")
        @Min(1)
        @Max(86400)
        @JsonPropertyDescription(
                "Seconds from the creation of the object after which the restore is given up; the image is safe.")
        @Nullable
        Integer deadlineSeconds) {}
