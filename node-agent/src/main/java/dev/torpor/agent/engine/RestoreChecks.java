package dev.torpor.agent.engine;

import dev.torpor.agent.image.ImageHeader;
import dev.torpor.agent.image.ImageLayout;
import dev.torpor.agent.image.VmDefinition;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * Compares the QEMU that is to be resumed with what was saved, before it is fed: QEMU itself runs happily with more RAM,
 * another UUID or an added device, and kills the guest's hope of an error message in most other cases (tried on 10.0.2
 * and 11.1.3).
 */
public final class RestoreChecks {
    private RestoreChecks() {}

    /**
     * Throws for the first difference that matters.
     *
     * @throws TorporException NotIncoming, CapabilityMissing, MachineTypeMismatch, MemorySizeMismatch, VCPUsMismatch,
     *     UUIDMismatch, CPUMismatch or DevicesMismatch, naming both sides
     */
    public static void compare(VmDefinition saved, VmFacts target) throws TorporException {
        compare(saved, target, Engine.QEMU_DIRECT);
    }

    /** Does the same for an image, with what is known of its VM. */
    public static void compare(ImageHeader header, ImageLayout layout, VmFacts target) throws TorporException {
        if (header.isOfLibvirt()) {
            compareImported(header.vm(), layout, target);
        } else {
            compare(header.vm(), target, Engines.of(layout));
        }
    }

    /**
     * Of an image that libvirt wrote less is known: ROMs are among its blocks, of its devices only their places on PCI buses
     * are there, those that every such machine has among them. QEMU itself refuses a stream of a device or block that it lacks.
     */
    private static void compareImported(VmDefinition saved, ImageLayout layout, VmFacts target) throws TorporException {
        requireIncoming(target);
        if (layout.channels().isEmpty()) {
            QemuDirectEngine.requireCapabilities(target);
        }
        VmDefinition now = target.definition();
        machine(saved, now);
        SortedMap<String, Long> sameBlocks = new TreeMap<>(saved.ramBlocks());
        sameBlocks.keySet().retainAll(now.ramBlocks().keySet());
        memory(sameBlocks, now.ramBlocks());
        vcpusAndUuid(saved, now);
        accelerator(saved, now);
        List<String> added = new ArrayList<>();
        for (String device : now.devices()) {
            int at = device.lastIndexOf('@');
            if (at >= 0 && !saved.devices().contains(device.substring(at))) {
                added.add(device);
            }
        }
        if (!added.isEmpty()) {
            throw new TorporException(
                    FailureReason.DevicesMismatch,
                    "the target has " + added + " where the domain has no PCI device; its devices are at "
                            + saved.devices() + ": give the same devices at the same addresses");
        }
    }

    /** Does the same for an image that a certain engine will feed. */
    public static void compare(VmDefinition saved, VmFacts target, Engine engine) throws TorporException {
        requireIncoming(target);
        switch (engine) {
            case QEMU_DIRECT -> QemuDirectEngine.requireCapabilities(target);
            case MULTIFD_STREAM -> MultifdStreamEngine.requireCapabilities(target);
        }
        VmDefinition now = target.definition();
        machine(saved, now);
        memory(saved.ramBlocks(), now.ramBlocks());
        vcpusAndUuid(saved, now);
        same(FailureReason.CPUMismatch, "CPU model", saved.cpuModel(), now.cpuModel(), "give the same -cpu");
        accelerator(saved, now);
        cpuFeatures(saved.cpuFeatures(), now.cpuFeatures());
        devices(saved.devices(), now.devices());
    }

    private static void requireIncoming(VmFacts target) throws TorporException {
        if (!target.runState().incoming()) {
            throw new TorporException(
                    FailureReason.NotIncoming,
                    "the target QEMU is in state " + target.runState().status()
                            + ": start it with -incoming defer; one that was fed before needs a new process");
        }
    }

    private static void machine(VmDefinition saved, VmDefinition now) throws TorporException {
        same(
                FailureReason.MachineTypeMismatch,
                "machine type",
                saved.machineType(),
                now.machineType(),
                "name the versioned type in -machine");
    }

    private static void vcpusAndUuid(VmDefinition saved, VmDefinition now) throws TorporException {
        same(FailureReason.VCPUsMismatch, "number of vCPUs", saved.vcpus(), now.vcpus(), "give the same -smp");
        same(FailureReason.UUIDMismatch, "UUID", saved.uuid(), now.uuid(), "give the same -uuid");
    }

    private static void accelerator(VmDefinition saved, VmDefinition now) throws TorporException {
        same(FailureReason.CPUMismatch, "accelerator", saved.accelerator(), now.accelerator(), "give the same -accel");
    }

    /**
     * A guest uses what it found at its boot, so nothing of that may be missing. What is there in addition it does not look
     * for: to refuse that would strand VMs whenever microcode brings something new.
     */
    private static void cpuFeatures(Map<String, Long> saved, Map<String, Long> now) throws TorporException {
        if (saved.isEmpty() || now.isEmpty()) {
            return; // an older image, or not an x86 CPU
        }
        List<String> missing = new ArrayList<>();
        saved.forEach((register, bits) -> {
            long gone = bits & ~now.getOrDefault(register, 0L);
            if (gone != 0) {
                missing.add("%s bits 0x%08x".formatted(register, gone));
            }
        });
        if (!missing.isEmpty()) {
            throw new TorporException(
                    FailureReason.CPUMismatch,
                    "the target's CPU lacks features that the guest was started with: CPUID "
                            + String.join(", ", missing)
                            + ": give the same -cpu options; if it is host or max, the machine's CPU, microcode, kernel or"
                            + " QEMU gives less than it did at the save: bring that back, or give the memory up");
        }
    }

    /** Images of QEMU up to 7.2 that are older than {@link QemuProbe#isRom} have ROMs among their blocks. */
    private static void memory(Map<String, Long> saved, Map<String, Long> now) throws TorporException {
        NavigableMap<String, Long> all = new TreeMap<>(saved);
        all.keySet().removeIf(QemuProbe::isRom);
        now.forEach(all::putIfAbsent);
        for (String block : all.keySet()) {
            long savedBytes = saved.getOrDefault(block, 0L);
            long nowBytes = now.getOrDefault(block, 0L);
            if (savedBytes != nowBytes) {
                throw new TorporException(
                        FailureReason.MemorySizeMismatch,
                        "RAM block " + block + " has " + savedBytes + " bytes in the image and " + nowBytes
                                + " in the target: give the same memory size and backends");
            }
        }
    }

    private static void devices(List<String> saved, List<String> now) throws TorporException {
        List<String> missing = new ArrayList<>(saved);
        now.forEach(missing::remove);
        List<String> added = new ArrayList<>(now);
        saved.forEach(added::remove);
        if (!missing.isEmpty() || !added.isEmpty()) {
            throw new TorporException(
                    FailureReason.DevicesMismatch,
                    "the target's devices are not the image's: missing " + missing + ", added " + added
                            + ": give the same devices at the same addresses");
        }
    }

    private static void same(FailureReason reason, String what, Object saved, Object now, String advice)
            throws TorporException {
        if (!saved.equals(now)) {
            throw new TorporException(
                    reason, "the " + what + " is " + saved + " in the image and " + now + " in the target: " + advice);
        }
    }
}
