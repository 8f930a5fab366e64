package dev.torpor.agent.image;

import java.time.Instant;

/**
 * What an image says of itself, apart from where things are in it ({@link ImageLayout}).
 *
 * @param id which image
 * @param mode what it was made for
 * @param vm the VM's definition
 * @param engine how it was written, for example {@code qemu-direct}
 * @param channels how many channels wrote it
 * @param directIO whether they went past the page cache
 * @param runNumber which run of the VM, as counted by the node's journal; 0 where nobody counts
 * @param wasRunning whether the guest ran before it was paused for the save
 * @param startedAt when the save was begun
 * @param completedAt when QEMU had written everything
 * @param disks the VM's disks at that time
 */
public record ImageHeader(
        ImageId id,
        ImageMode mode,
        VmDefinition vm,
        String engine,
        int channels,
        boolean directIO,
        long runNumber,
        boolean wasRunning,
        Instant startedAt,
        Instant completedAt,
        VmDisks disks) {
    /** Version of the image format in which pages stand at their places. */
    public static final int FORMAT_VERSION = 1;

    /** Version in which the streams of channels stand in turns; the newest that this release reads, as it does every older one. */
    public static final int FORMAT_VERSION_OF_CHANNELS = 2;

    /**
     * Where QEMU's stream begins in the file, in bytes: 1 MiB + 4 KiB. QEMU puts a block's pages on the next 1 MiB
     * boundary, so this puts the first block's at 2 MiB, where they can be mapped as huge pages.
     */
    public static final long STREAM_OFFSET_BYTES = 0x10_1000;

    /** Name of what wrote an image that was made from a file of libvirt's. */
    public static final String LIBVIRT = "libvirt";

    /**
     * Tells whether it was made from a file of libvirt's. Of its VM only that is known which stream and domain tell: CPU model
     * and QEMU's version are not, devices are those on PCI buses and without their types, and blocks of RAM include ROMs.
     */
    public boolean isOfLibvirt() {
        return engine.equals(LIBVIRT);
    }

    /** Of a VM whose disks are not known. */
    public ImageHeader(
            ImageId id,
            ImageMode mode,
            VmDefinition vm,
            String engine,
            int channels,
            boolean directIO,
            long runNumber,
            boolean wasRunning,
            Instant startedAt,
            Instant completedAt) {
        this(id, mode, vm, engine, channels, directIO, runNumber, wasRunning, startedAt, completedAt, VmDisks.UNKNOWN);
    }
}
