package dev.torpor.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** The image file in the node's store. */
@JsonIgnoreProperties(ignoreUnknown = true)
public record ImageStatus(
        @JsonPropertyDescription("Path of the file, relative to the store.") @Nullable
        String path,

        @JsonPropertyDescription("Length of the file in bytes, holes included.") @Nullable
        Long sizeBytes,

        @JsonPropertyDescription("Bytes that the file occupies on disk.") @Nullable
        Long allocatedBytes,

        @JsonPropertyDescription("Version of the image format.") @Nullable
        Integer formatVersion,

        @JsonPropertyDescription("The bytes on disk for people, such as 1.5 GiB.") @Nullable
        String size) {

    private static final String[] UNITS = {"KiB", "MiB", "GiB", "TiB"};

    /** Of a file with these lengths; the text for people follows from them. */
    public ImageStatus(String path, long sizeBytes, long allocatedBytes, int formatVersion) {
        this(path, sizeBytes, allocatedBytes, formatVersion, forPeople(allocatedBytes));
    }

    private static String forPeople(long bytes) {
        double value = bytes / 1024.0;
        int unit = 0;
        while (value >= 1024 && unit < UNITS.length - 1) {
            value /= 1024;
            unit++;
        }
        return String.format(Locale.ROOT, "%.1f %s", value, UNITS[unit]);
    }
}
