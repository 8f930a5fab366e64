package dev.torpor.agent.engine;

import dev.torpor.agent.image.Compression;

/**
 * How one save will be done, all checks passed.
 *
 * @param engine by which engine
 * @param channels number of channels
 * @param compression what QEMU does to the pages
 * @param directIO whether O_DIRECT is used
 * @param bandwidthBytesPerSecondMax most bytes per second; 0 is unlimited
 * @param memoryBytes bytes of all RAM blocks
 */
public record SavePlan(
        Engine engine,
        int channels,
        Compression compression,
        boolean directIO,
        long bandwidthBytesPerSecondMax,
        long memoryBytes) {
    private static final int PACKETS_PART = 256;

    /** Returns the same without compression. */
    public SavePlan uncompressed() {
        return new SavePlan(engine, channels, Compression.NONE, directIO, bandwidthBytesPerSecondMax, memoryBytes);
    }

    /** By QEMU itself. */
    public SavePlan(int channels, boolean directIO, long bandwidthBytesPerSecondMax, long memoryBytes) {
        this(Engine.QEMU_DIRECT, channels, Compression.NONE, directIO, bandwidthBytesPerSecondMax, memoryBytes);
    }

    /**
     * Returns the most that its image takes. Recorded channels have memory in packets of 512 KiB, each with 1.3 KiB around it
     * (MultiFDPacket_t and the offset of each page); what the main channel says of them, our checksums and the ends of units are
     * less than that again.
     */
    public long imageBytesMax() {
        return engine == Engine.MULTIFD_STREAM ? memoryBytes + memoryBytes / PACKETS_PART : memoryBytes;
    }

    /** Returns it as the end of a sentence. */
    public String words() {
        return channels + " channels, "
                + (compression.method() == Compression.Method.NONE
                        ? ""
                        : compression.method().word() + ", ")
                + (directIO ? "direct I/O" : "through the page cache");
    }
}
