package dev.torpor.agent.image;

import java.time.Instant;
import java.util.List;
import java.util.Optional;

/**
 * What an image records of the disks that its VM had: the guest's memory fits them as they were, and no others. What is
 * known of files is a hint from a VM that is not trusted: good for telling that they changed, for nothing else.
 *
 * @param claims the PersistentVolumeClaims of the VM's pod, where somebody knew them
 * @param files what QEMU had open to write to
 */
public record VmDisks(List<Claim> claims, List<DiskFile> files) {
    /** Nothing is known, as in images of older releases. */
    public static final VmDisks UNKNOWN = new VmDisks(List.of(), List.of());

    public VmDisks {
        claims = List.copyOf(claims);
        files = List.copyOf(files);
    }

    /**
     * A PersistentVolumeClaim.
     *
     * @param name in the namespace of the VM
     * @param uid which one of that name
     */
    public record Claim(String name, String uid) {}

    /**
     * A file or block device that QEMU may write to.
     *
     * @param file its name, as QEMU has it
     * @param driver QEMU's driver, {@code file} or {@code host_device}
     * @param sizeBytes of the file or device
     * @param modifiedAt of a file, when it was last written to, as exactly as its file system tells; empty for devices, and where
     *     the open file is not found
     */
    public record DiskFile(String file, String driver, long sizeBytes, Optional<Instant> modifiedAt) {}
}
