package dev.torpor.agent.image;

import java.util.Collections;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * What a VM is made of, as far as an image depends on it: a QEMU that differs in any of it is not fed the image.
 *
 * @param qemuVersion version of the QEMU, for people; images load in other versions too
 * @param machineType versioned machine type, for example {@code pc-q35-10.0}
 * @param vcpus number of virtual CPUs
 * @param uuid the machine's UUID
 * @param cpuModel CPU model, with whatever of its features is known
 * @param accelerator for example {@code kvm} or {@code tcg}
 * @param devices the devices, each in one line, in QEMU's order
 * @param ramBlocks bytes of each block of guest RAM, by the name that it has in QEMU's stream
 * @param memoryBytes the guest's RAM in bytes
 */
public record VmDefinition(
        String qemuVersion,
        String machineType,
        int vcpus,
        String uuid,
        String cpuModel,
        String accelerator,
        List<String> devices,
        SortedMap<String, Long> ramBlocks,
        long memoryBytes) {
    public VmDefinition {
        devices = List.copyOf(devices);
        ramBlocks = Collections.unmodifiableSortedMap(new TreeMap<>(ramBlocks));
    }
}
