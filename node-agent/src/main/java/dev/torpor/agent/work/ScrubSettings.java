package dev.torpor.agent.work;

import java.time.Duration;

/**
 * How often images are compared with their checksums again.
 *
 * @param every how long after the last time; zero: never
 * @param bytesPerSecond the most that is read for it
 */
public record ScrubSettings(Duration every, long bytesPerSecond) {
    /** Weekly, with 50 MiB/s: half an hour a week for 100 GiB of images. */
    public static final ScrubSettings DEFAULT = new ScrubSettings(Duration.ofDays(7), 50L << 20);

    public ScrubSettings {
        if (every.isNegative() || bytesPerSecond < 1) {
            throw new IllegalArgumentException("images are looked at every " + every + " with " + bytesPerSecond
                    + " bytes per second: give a time from 0, and at least 1");
        }
    }
}
