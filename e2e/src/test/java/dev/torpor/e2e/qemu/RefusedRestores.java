package dev.torpor.e2e.qemu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.torpor.agent.engine.Engine;
import dev.torpor.agent.engine.Guest;
import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.Extent;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Targets and images that must be refused before QEMU is fed: it would take most of them, or die of them. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@SuppressWarnings("NullAway.Init")
abstract class RefusedRestores {
    private static final Target SAME =
            new Target(64, "pc-q35-10.0", 2, "11111111-2222-3333-4444-555555555555", "max", List.of("virtio-rng-pci"));

    private final Engine engine;

    private Path temp;
    private ImageStore store;
    private Path storePath;
    private CommittedImage image;

    RefusedRestores(Engine engine) {
        this.engine = engine;
    }

    @BeforeAll
    void save(@TempDir Path folder) throws Exception {
        temp = folder;
        storePath = temp.resolve("store");
        store = ImageStore.open(storePath);
        try (Vm source = SAME.start(temp)) {
            image = Saving.save(source, store, engine);
        }
    }

    @AfterAll
    void close() throws TorporException {
        store.close();
    }

    static Stream<Arguments> otherTargets() {
        String memory = "RAM block pc.ram has 67108864 bytes in the image and %s in the target: "
                + "give the same memory size and backends";
        return Stream.of(
                Arguments.of(SAME.withMemory(128), FailureReason.MemorySizeMismatch, memory.formatted("134217728")),
                Arguments.of(SAME.withMemory(32), FailureReason.MemorySizeMismatch, memory.formatted("33554432")),
                Arguments.of(
                        SAME.withMachine("pc-q35-9.2"),
                        FailureReason.MachineTypeMismatch,
                        "the machine type is pc-q35-10.0 in the image and pc-q35-9.2 in the target: "
                                + "name the versioned type in -machine"),
                Arguments.of(
                        SAME.withVcpus(1),
                        FailureReason.VCPUsMismatch,
                        "the number of vCPUs is 2 in the image and 1 in the target: give the same -smp"),
                Arguments.of(
                        SAME.withUuid("99999999-2222-3333-4444-555555555555"),
                        FailureReason.UUIDMismatch,
                        "the UUID is 11111111-2222-3333-4444-555555555555 in the image and"
                                + " 99999999-2222-3333-4444-555555555555 in the target: give the same -uuid"),
                Arguments.of(
                        SAME.withCpu("qemu64"),
                        FailureReason.CPUMismatch,
                        "the CPU model is max-x86_64-cpu in the image and qemu64-x86_64-cpu in the target: "
                                + "give the same -cpu"),
                Arguments.of(
                        SAME.withCpu("max,-rdrand"),
                        FailureReason.CPUMismatch,
                        "the target's CPU lacks features that the guest was started with: CPUID 1.ECX bits 0x40000000: "
                                + "give the same -cpu options; if it is host or max, the machine's CPU, microcode, kernel or"
                                + " QEMU gives less than it did at the save: bring that back, or give the memory up"),
                Arguments.of(
                        SAME.withDevices(),
                        FailureReason.DevicesMismatch,
                        devices("missing [virtio-rng-pci@01.0], added []")),
                Arguments.of(
                        SAME.withDevices("virtio-rng-pci", "virtio-balloon-pci"),
                        FailureReason.DevicesMismatch,
                        devices("missing [], added [virtio-balloon-pci@02.0]")),
                Arguments.of(
                        SAME.withDevices("virtio-rng-pci,addr=5"),
                        FailureReason.DevicesMismatch,
                        devices("missing [virtio-rng-pci@01.0], added [virtio-rng-pci@05.0]")));
    }

    @ParameterizedTest(name = "{1}: {0}")
    @MethodSource("otherTargets")
    void anotherVmIsNotFed(Target other, FailureReason reason, String message) throws Exception {
        try (Vm target = incoming(other)) {
            TorporException e = refused(target);
            assertThat(e).hasMessage(message);
            assertThat(e.reason()).isEqualTo(reason);
            assertThat(Guest.runState(target.qmp()).incoming()).isTrue();
            assertThat(target.qmp().execute("query-migrate")).isEmpty();
        }
    }

    @Test
    void aGuestThatRunsIsNotFed() throws Exception {
        try (Vm target = SAME.start(temp)) {
            TorporException e = refused(target);
            assertThat(e.reason()).isEqualTo(FailureReason.NotIncoming);
            assertThat(e)
                    .hasMessage("the target QEMU is in state running: start it with -incoming defer; "
                            + "one that was fed before needs a new process");
            assertThat(Guest.runState(target.qmp()).running()).isTrue();
        }
    }

    @Test
    void aTargetThatWasFedIsNotFedAgain() throws Exception {
        try (Vm target = incoming(SAME)) {
            Saving.load(target, image, false);
            assertThat(refused(target).reason()).isEqualTo(FailureReason.NotIncoming);
        }
    }

    @Test
    void aLoadThatQemuRefusesSaysSo() throws Exception {
        // The checks are left out, as if they had missed something: QEMU finds the other machine type by itself.
        try (Vm target = incoming(SAME.withMachine("pc-q35-9.2"))) {
            TorporException e =
                    catchThrowableOfType(TorporException.class, () -> Saving.loadUnchecked(target, image, false));
            assertThat(e.reason()).isEqualTo(FailureReason.LoadFailed);
            assertThat(e).hasMessageStartingWith("QEMU could not load the image: ");
            // One try for each process: all that is left is to end it.
            Guest.quit(target.qmp());
            target.process().awaitExit();
        }
    }

    @Test
    void damageIsFoundBeforeQemuIsFed() throws Exception {
        Path file = Saving.file(storePath, image);
        byte[] good = Files.readAllBytes(file);
        long sizeBytes = image.sizeBytes();
        String committed = " bytes; " + sizeBytes + " were committed";

        // QEMU 10 runs with the first, and dies of the second.
        resize(file, sizeBytes - 100);
        assertOpenFails(FailureReason.ImageTruncated, "the image has " + (sizeBytes - 100) + committed);
        resize(file, 3 << 20);
        assertOpenFails(FailureReason.ImageTruncated, "the image has " + (3 << 20) + committed);
        resize(file, 0);
        assertOpenFails(FailureReason.ImageTruncated, "the image has 0" + committed);
        Files.write(file, good);
        resize(file, sizeBytes + 1);
        assertOpenFails(FailureReason.ImageTruncated, "the image has " + (sizeBytes + 1) + committed);

        Files.write(file, good);
        flip(file, 0);
        assertOpenFails(FailureReason.ImageDamaged, "the image's header is damaged: ");
        flip(file, 0);
        flip(file, 100);
        assertOpenFails(FailureReason.ImageDamaged, "the image's header is damaged: ");
        flip(file, 100);
        switch (engine) {
            case QEMU_DIRECT -> damageBesidePagesIsFound(file);
            case MULTIFD_STREAM -> {
                long table = (sizeBytes - 1) / 4096 * 4096; // of so small an image it is one block
                flip(file, table);
                assertOpenFails(
                        FailureReason.ImageDamaged, "the image is damaged: the checksum of its table of checksums is ");
                flip(file, table);
            }
        }
        // Moved, not deleted: another file in its place would be refused to those who opened this one.
        Path aside = file.resolveSibling("aside");
        Files.move(file, aside);
        assertOpenFails(FailureReason.ImageMissing, "the image's file is missing");
        Files.move(aside, file);

        // With all put right it loads: nothing but the file was ever at fault.
        Files.write(file, good);
        try (Vm target = incoming(SAME)) {
            Saving.load(target, store.open(image.id()), store.directIO());
            Guest.resume(target.qmp());
        }
    }

    private void damageBesidePagesIsFound(Path file) throws IOException {
        long sizeBytes = image.sizeBytes();
        long deviceState = image.layout().deviceStateOffsetBytes();
        Extent bitmap = image.layout().blocks().getFirst().bitmap();
        flip(file, bitmap.offsetBytes() + 1);
        assertOpenFails(FailureReason.ImageDamaged, "the image is damaged: the checksum of the bitmaps is ");
        flip(file, bitmap.offsetBytes() + 1);
        for (long offset : new long[] {deviceState + 1000, (deviceState + sizeBytes) / 2, sizeBytes - 1}) {
            flip(file, offset);
            TorporException e = catchThrowableOfType(TorporException.class, () -> store.open(image.id()));
            assertThat(e.reason()).as("damage at %d", offset).isEqualTo(FailureReason.ImageDamaged);
            flip(file, offset);
        }
    }

    private void assertOpenFails(FailureReason reason, String message) {
        TorporException e = catchThrowableOfType(TorporException.class, () -> store.open(image.id()));
        assertThat(e).hasMessageStartingWith(message);
        assertThat(e.reason()).isEqualTo(reason);
    }

    private TorporException refused(Vm target) {
        return catchThrowableOfType(TorporException.class, () -> Saving.load(target, image, false));
    }

    private static String devices(String difference) {
        return "the target's devices are not the image's: " + difference
                + ": give the same devices at the same addresses";
    }

    private static void resize(Path file, long sizeBytes) throws IOException {
        try (RandomAccessFile open = new RandomAccessFile(file.toFile(), "rw")) {
            open.setLength(sizeBytes);
        }
    }

    private static void flip(Path file, long offset) throws IOException {
        try (RandomAccessFile open = new RandomAccessFile(file.toFile(), "rw")) {
            open.seek(offset);
            int value = open.read();
            open.seek(offset);
            open.write(value ^ 1);
        }
    }

    /** The arguments in which targets differ. */
    record Target(int memoryMiB, String machine, int vcpus, String uuid, String cpu, List<String> devices) {
        Vm start(Path folder, String... more) throws IOException, TorporException {
            List<String> arguments = new ArrayList<>(
                    List.of("-machine", machine, "-smp", Integer.toString(vcpus), "-uuid", uuid, "-cpu", cpu));
            devices.forEach(device -> arguments.addAll(List.of("-device", device)));
            arguments.addAll(List.of(more));
            return Vm.bare(folder, memoryMiB, arguments.toArray(String[]::new));
        }

        Target withMemory(int otherMiB) {
            return new Target(otherMiB, machine, vcpus, uuid, cpu, devices);
        }

        Target withMachine(String other) {
            return new Target(memoryMiB, other, vcpus, uuid, cpu, devices);
        }

        Target withVcpus(int other) {
            return new Target(memoryMiB, machine, other, uuid, cpu, devices);
        }

        Target withUuid(String other) {
            return new Target(memoryMiB, machine, vcpus, other, cpu, devices);
        }

        Target withCpu(String other) {
            return new Target(memoryMiB, machine, vcpus, uuid, other, devices);
        }

        Target withDevices(String... others) {
            return new Target(memoryMiB, machine, vcpus, uuid, cpu, List.of(others));
        }
    }

    private Vm incoming(Target target) throws IOException, TorporException {
        return target.start(temp, "-incoming", "defer");
    }
}
