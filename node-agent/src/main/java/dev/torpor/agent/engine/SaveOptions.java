package dev.torpor.agent.engine;

import dev.torpor.agent.image.Compression;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * What the user asked of a save.
 *
 * @param channels number of channels, 1 to 255; empty lets the engine choose for the machine
 * @param directIO whether to bypass the page cache
 * @param bandwidthBytesPerSecondMax most bytes per second; 0 is unlimited
 * @param engine which engine; empty takes the first that can do it
 * @param compression whether QEMU is to compress
 */
public record SaveOptions(
        OptionalInt channels,
        DirectIO directIO,
        long bandwidthBytesPerSecondMax,
        Optional<Engine> engine,
        Compression compression) {
    /** Everything chosen for the machine. */
    public static final SaveOptions DEFAULT = new SaveOptions(OptionalInt.empty(), DirectIO.AUTO, 0);

    /** By whichever engine, not compressed. */
    public SaveOptions(OptionalInt channels, DirectIO directIO, long bandwidthBytesPerSecondMax) {
        this(channels, directIO, bandwidthBytesPerSecondMax, Optional.empty(), Compression.NONE);
    }

    /** Returns the same for a certain engine. */
    public SaveOptions with(Engine wanted) {
        return new SaveOptions(channels, directIO, bandwidthBytesPerSecondMax, Optional.of(wanted), compression);
    }

    /** Returns the same with a certain compression. */
    public SaveOptions with(Compression wanted) {
        return new SaveOptions(channels, directIO, bandwidthBytesPerSecondMax, engine, wanted);
    }
}
