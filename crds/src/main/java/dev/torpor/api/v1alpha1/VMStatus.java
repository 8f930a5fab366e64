package dev.torpor.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import org.jspecify.annotations.Nullable;

/** What was saved. */
@JsonIgnoreProperties(ignoreUnknown = true)
public record VMStatus(
        @JsonPropertyDescription("Version of the QEMU that was saved.") @Nullable
        String qemuVersion,

        @JsonPropertyDescription("Versioned machine type, such as pc-q35-10.0.") @Nullable
        String machineType,

        @JsonPropertyDescription("Bytes of guest memory, all RAM blocks.") @Nullable
        Long memoryBytes,

        @JsonPropertyDescription("Number of vCPUs.") @Nullable
        Integer vcpus,

        @JsonPropertyDescription("Whether the guest ran before the save; false: its owner had paused it.") @Nullable
        Boolean wasRunning) {}
