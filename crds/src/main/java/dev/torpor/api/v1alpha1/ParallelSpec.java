package dev.torpor.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Max;
import io.fabric8.generator.annotation.Min;
import io.fabric8.generator.annotation.ValidationRule;
import org.jspecify.annotations.Nullable;

/** How a save is parallelized, and compressed; what is absent is chosen for the machine, and what was chosen is in status. */
@JsonIgnoreProperties(ignoreUnknown = true)
@ValidationRule(
        value = "!has(self.compressionLevel) || (has(self.compression) && self.compression != 'None')",
        message = "compressionLevel needs compression Zlib or Zstd")
@ValidationRule(
        value =
                "!has(self.compressionLevel) || !has(self.compression) || self.compression != 'Zlib' || self.compressionLevel <= 9",
        message = "compressionLevel of Zlib is at most 9")
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
        Boolean directIO,

        @JsonPropertyDescription(
                "How QEMU compresses the memory it saves: None, Zlib or Zstd; with one of the latter the engine is multifd-stream. Absent: None.")
        @Nullable
        CompressionMethod compression,

        @Min(0)
        @Max(20)
        @JsonPropertyDescription(
                "How hard it tries: 0 to 9 with Zlib, 0 to 20 with Zstd. Absent: left to QEMU, which takes 1.")
        @Nullable
        Integer compressionLevel) {}
