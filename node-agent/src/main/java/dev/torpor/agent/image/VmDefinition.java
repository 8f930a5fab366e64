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
 * @param cpuFeatures the features that the guest sees, as CPUID has them: 32 bits by leaf, sub-leaf where there are several,
 *     and register ({@code 7.0.EBX}); empty if unknown, as in images of older releases and where QEMU does not tell
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
        long memoryBytes,
        SortedMap<String, Long> cpuFeatures) {
    public VmDefinition {
        devices = List.copyOf(devices);
        ramBlocks = Collections.unmodifiableSortedMap(new TreeMap<>(ramBlocks));
        cpuFeatures = Collections.unmodifiableSortedMap(new TreeMap<>(cpuFeatures));
    }

    /** Makes a definition whose CPU's features are not known. */
    public VmDefinition(
            String qemuVersion,
            String machineType,
            int vcpus,
            String uuid,
            String cpuModel,
            String accelerator,
            List<String> devices,
            SortedMap<String, Long> ramBlocks,
            long memoryBytes) {
        this(
                qemuVersion,
                machineType,
                vcpus,
                uuid,
                cpuModel,
                accelerator,
                devices,
                ramBlocks,
                memoryBytes,
                new TreeMap<>());
    }
}
