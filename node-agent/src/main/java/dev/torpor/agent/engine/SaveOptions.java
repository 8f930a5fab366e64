package dev.torpor.agent.engine;

import java.util.OptionalInt;

/**
 * What the user asked of a save.
 *
 * @param channels number of channels, 1 to 255; empty lets the engine choose for the machine
 * @param directIO whether to bypass the page cache
 * @param bandwidthBytesPerSecondMax most bytes per second; 0 is unlimited
 */
public record SaveOptions(OptionalInt channels, DirectIO directIO, long bandwidthBytesPerSecondMax) {
    /** Everything chosen for the machine. */
    public static final SaveOptions DEFAULT = new SaveOptions(OptionalInt.empty(), DirectIO.AUTO, 0);
}
