package dev.torpor.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Max;
import io.fabric8.generator.annotation.Min;
import org.jspecify.annotations.Nullable;

/** How a save is parallelized; what is absent is chosen for the machine, and what was chosen is in status. */
@JsonIgnoreProperties(ignoreUnknown = true)
public record ParallelSpec(
        @Min(1)
        @Max(255)
        @JsonPropertyDescription(
                "Number of channels that write at the same time, 1 to 255. Absent: chosen for the machine.")
        @Nullable
        Integer channels,

        @JsonPropertyDescription(
                "Whether to bypass the page cache with O_DIRECT: true requires it, false forbids it, absent uses it where the file system has it.")
        @Nullable
        Boolean directIO) {}
