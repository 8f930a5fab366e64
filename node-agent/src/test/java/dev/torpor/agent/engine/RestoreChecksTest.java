package dev.torpor.agent.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.torpor.agent.image.VmDefinition;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Each way in which the target of a restore can differ from what was saved. */
class RestoreChecksTest {
    private static final VmDefinition SAVED = Vms.DEFINITION;

    @Test
    void theSameVm() {
        assertThatCode(() -> RestoreChecks.compare(SAVED, Vms.INCOMING)).doesNotThrowAnyException();
    }

    @Test
    void anotherQemuVersionIsFine() {
        assertThatCode(() -> RestoreChecks.compare(SAVED, incoming(with("11.1.3", "pc-q35-10.0", 2, SAVED.uuid()))))
                .doesNotThrowAnyException();
    }

    @ParameterizedTest
    @ValueSource(strings = {"running", "paused", "prelaunch", "postmigrate"})
    void notWaitingForAnImage(String status) {
        refused(
                Vms.facts(SAVED, status),
                FailureReason.NotIncoming,
                "the target QEMU is in state " + status
                        + ": start it with -incoming defer; one that was fed before needs a new process");
    }

    @Test
    void qemuWithoutMappedRam() {
        refused(
                Vms.withCapabilities(Vms.INCOMING, "multifd"),
                FailureReason.CapabilityMissing,
                "QEMU 10.0.2 lacks mapped-ram: the engine qemu-direct needs QEMU 9.0 or newer");
    }

    @Test
    void anotherMachineType() {
        refused(
                incoming(with("11.1.3", "pc-q35-11.1", 2, SAVED.uuid())),
                FailureReason.MachineTypeMismatch,
                "the machine type is pc-q35-10.0 in the image and pc-q35-11.1 in the target: "
                        + "name the versioned type in -machine");
    }

    @ParameterizedTest
    @CsvSource({"536870912", "134217728"})
    void moreAndLessMemory(long bytes) {
        refused(
                incoming(withRam(Map.of("pc.ram", bytes))),
                FailureReason.MemorySizeMismatch,
                "RAM block pc.ram has 268435456 bytes in the image and " + bytes
                        + " in the target: give the same memory size and backends");
    }

    @Test
    void anotherBackend() {
        refused(
                incoming(withRam(Map.of("m0", Vms.RAM_BYTES))),
                FailureReason.MemorySizeMismatch,
                "RAM block m0 has 0 bytes in the image and 268435456 in the target: "
                        + "give the same memory size and backends");
    }

    @Test
    void anAddedBlock() {
        refused(
                incoming(withRam(Map.of("pc.ram", Vms.RAM_BYTES, "0000:00:01.0/vga.vram", 16L << 20))),
                FailureReason.MemorySizeMismatch,
                "RAM block 0000:00:01.0/vga.vram has 0 bytes in the image and 16777216 in the target: "
                        + "give the same memory size and backends");
    }

    /** QEMU up to 7.2 does not say which blocks are ROMs, and once they were recorded as if they were memory. */
    @Test
    void romsOfAnImageAreNotMemory() {
        Map<String, Long> ram = Map.of("pc.ram", Vms.RAM_BYTES);
        Map<String, Long> recorded = new TreeMap<>(ram);
        recorded.putAll(
                Map.of("pc.bios", 256L << 10, "pc.rom", 128L << 10, "0000:00:02.0/virtio-net-pci.rom", 512L << 10));
        recorded.put("/rom@etc/acpi/tables", 2L << 20);
        assertThatCode(() -> RestoreChecks.compare(withRam(recorded), incoming(withRam(ram))))
                .doesNotThrowAnyException();
        recorded.put("ram1", 1L << 20);
        VmDefinition more = withRam(recorded);
        assertThat(catchThrowableOfType(
                                TorporException.class, () -> RestoreChecks.compare(more, incoming(withRam(ram))))
                        .getMessage())
                .startsWith("RAM block ram1 has 1048576 bytes in the image and 0 in the target");
    }

    @Test
    void anotherNumberOfVcpus() {
        refused(
                incoming(with("10.0.2", "pc-q35-10.0", 3, SAVED.uuid())),
                FailureReason.VCPUsMismatch,
                "the number of vCPUs is 2 in the image and 3 in the target: give the same -smp");
    }

    @Test
    void anotherUuid() {
        refused(
                incoming(with("10.0.2", "pc-q35-10.0", 2, "99999999-2222-3333-4444-555555555555")),
                FailureReason.UUIDMismatch,
                "the UUID is 11111111-2222-3333-4444-555555555555 in the image and"
                        + " 99999999-2222-3333-4444-555555555555 in the target: give the same -uuid");
    }

    @Test
    void anotherCpuModel() {
        refused(
                incoming(withCpu("max-x86_64-cpu", "tcg")),
                FailureReason.CPUMismatch,
                "the CPU model is qemu64-x86_64-cpu in the image and max-x86_64-cpu in the target: give the same -cpu");
    }

    @Test
    void anotherAccelerator() {
        refused(
                incoming(withCpu("qemu64-x86_64-cpu", "kvm")),
                FailureReason.CPUMismatch,
                "the accelerator is tcg in the image and kvm in the target: give the same -accel");
    }

    @Test
    void aCpuThatLacksWhatTheGuestFound() {
        VmDefinition saved = withFeatures(Map.of("1.ECX", 0x8200_2001L, "7.0.EBX", 0x0001_0020L));
        VmFacts target = incoming(withFeatures(Map.of("1.ECX", 0x8000_2001L, "7.0.EBX", 0x20L)));
        TorporException e = catchThrowableOfType(TorporException.class, () -> RestoreChecks.compare(saved, target));
        assertThat(e.reason()).isEqualTo(FailureReason.CPUMismatch);
        assertThat(e)
                .hasMessage(
                        "the target's CPU lacks features that the guest was started with: CPUID 1.ECX bits 0x02000000,"
                                + " 7.0.EBX bits 0x00010000: give the same -cpu options; if it is host or max, the machine's CPU,"
                                + " microcode, kernel or QEMU gives less than it did at the save: bring that back, or give the"
                                + " memory up");
    }

    @Test
    void aRegisterThatQemuDoesNotNameAnyMoreLacksAllOfIt() {
        VmFacts target = incoming(withFeatures(Map.of("1.ECX", 1L)));
        TorporException e = catchThrowableOfType(
                TorporException.class,
                () -> RestoreChecks.compare(withFeatures(Map.of("1.ECX", 1L, "d.1.EAX", 3L)), target));
        assertThat(e).hasMessageContaining("CPUID d.1.EAX bits 0x00000003:");
    }

    @Test
    void aCpuThatCanDoMoreIsFine() {
        VmFacts target = incoming(withFeatures(Map.of("1.ECX", 3L, "7.1.EAX", 1L)));
        assertThatCode(() -> RestoreChecks.compare(withFeatures(Map.of("1.ECX", 1L)), target))
                .doesNotThrowAnyException();
    }

    @Test
    void anImageThatDoesNotTellTheCpusFeaturesIsFine() {
        VmFacts target = incoming(withFeatures(Map.of("1.ECX", 3L)));
        assertThatCode(() -> RestoreChecks.compare(SAVED, target)).doesNotThrowAnyException();
        assertThatCode(() -> RestoreChecks.compare(withFeatures(Map.of("1.ECX", 3L)), incoming(SAVED)))
                .doesNotThrowAnyException();
    }

    @Test
    void aDeviceLess() {
        devicesRefused(
                List.of("virtio-net-pci@02.0"), "missing [virtio-rng-pci@01.0], added []: give the same devices");
    }

    @Test
    void aDeviceMore() {
        devicesRefused(
                List.of("virtio-net-pci@02.0", "virtio-rng-pci@01.0", "virtio-rng-pci@03.0"),
                "missing [], added [virtio-rng-pci@03.0]: give the same devices");
    }

    @Test
    void aDeviceElsewhere() {
        devicesRefused(
                List.of("virtio-net-pci@02.0", "virtio-rng-pci@05.0"),
                "missing [virtio-rng-pci@01.0], added [virtio-rng-pci@05.0]: give the same devices");
    }

    @Test
    void oneOfTwoAlikeLess() {
        VmDefinition twins = withDevices(List.of("isa-serial", "isa-serial"));
        TorporException e = catchThrowableOfType(
                TorporException.class,
                () -> RestoreChecks.compare(twins, incoming(withDevices(List.of("isa-serial")))));
        assertThat(e.reason()).isEqualTo(FailureReason.DevicesMismatch);
        assertThat(e).hasMessageContaining("missing [isa-serial], added []");
    }

    private static void devicesRefused(List<String> devices, String middle) {
        refused(
                incoming(withDevices(devices)),
                FailureReason.DevicesMismatch,
                "the target's devices are not the image's: " + middle + " at the same addresses");
    }

    private static void refused(VmFacts target, FailureReason reason, String message) {
        TorporException e = catchThrowableOfType(TorporException.class, () -> RestoreChecks.compare(SAVED, target));
        assertThat(e).hasMessage(message);
        assertThat(e.reason()).isEqualTo(reason);
    }

    private static VmFacts incoming(VmDefinition vm) {
        return Vms.facts(vm, "inmigrate");
    }

    private static VmDefinition with(String version, String machineType, int vcpus, String uuid) {
        return new VmDefinition(
                version,
                machineType,
                vcpus,
                uuid,
                SAVED.cpuModel(),
                SAVED.accelerator(),
                SAVED.devices(),
                SAVED.ramBlocks(),
                SAVED.memoryBytes());
    }

    private static VmDefinition withCpu(String model, String accelerator) {
        return new VmDefinition(
                SAVED.qemuVersion(),
                SAVED.machineType(),
                SAVED.vcpus(),
                SAVED.uuid(),
                model,
                accelerator,
                SAVED.devices(),
                SAVED.ramBlocks(),
                SAVED.memoryBytes());
    }

    private static VmDefinition withDevices(List<String> devices) {
        return new VmDefinition(
                SAVED.qemuVersion(),
                SAVED.machineType(),
                SAVED.vcpus(),
                SAVED.uuid(),
                SAVED.cpuModel(),
                SAVED.accelerator(),
                devices,
                SAVED.ramBlocks(),
                SAVED.memoryBytes());
    }

    private static VmDefinition withRam(Map<String, Long> blocks) {
        return new VmDefinition(
                SAVED.qemuVersion(),
                SAVED.machineType(),
                SAVED.vcpus(),
                SAVED.uuid(),
                SAVED.cpuModel(),
                SAVED.accelerator(),
                SAVED.devices(),
                new TreeMap<>(blocks),
                SAVED.memoryBytes());
    }

    private static VmDefinition withFeatures(Map<String, Long> features) {
        return new VmDefinition(
                SAVED.qemuVersion(),
                SAVED.machineType(),
                SAVED.vcpus(),
                SAVED.uuid(),
                SAVED.cpuModel(),
                SAVED.accelerator(),
                SAVED.devices(),
                SAVED.ramBlocks(),
                SAVED.memoryBytes(),
                new TreeMap<>(features));
    }
}
