package dev.torpor.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import org.jspecify.annotations.Nullable;

/** How far a save or load is, in bytes of guest memory. */
@JsonIgnoreProperties(ignoreUnknown = true)
public record Progress(
        @JsonPropertyDescription("Bytes of guest memory in all.") @Nullable
        Long totalBytes,

        @JsonPropertyDescription("Bytes of guest memory done, zero pages included.") @Nullable
        Long doneBytes,

        @JsonPropertyDescription("Share done, 0 to 100.") @Nullable
        Integer percent,

        @JsonPropertyDescription("Rate over the last interval, in bytes per second.") @Nullable
        Long bytesPerSecond,

        @JsonPropertyDescription("Estimate of the seconds left at this rate.") @Nullable
        Long secondsLeft,

        @JsonPropertyDescription("The same for people, such as 37% of 4.0 GiB.") @Nullable
        String summary,

        @JsonPropertyDescription("The rate for people, such as 1.9 GiB/s.") @Nullable
        String rate) {}
