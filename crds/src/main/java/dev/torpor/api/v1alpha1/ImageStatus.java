package dev.torpor.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import org.jspecify.annotations.Nullable;

/** The image file in the node's store. */
public record ImageStatus(
        @JsonPropertyDescription("Path of the file, relative to the store.") @Nullable
        String path,

        @JsonPropertyDescription("Length of the file in bytes, holes included.") @Nullable
        Long sizeBytes,

        @JsonPropertyDescription("Bytes that the file occupies on disk.") @Nullable
        Long allocatedBytes,

        @JsonPropertyDescription("Version of the image format.") @Nullable
        Integer formatVersion) {}
