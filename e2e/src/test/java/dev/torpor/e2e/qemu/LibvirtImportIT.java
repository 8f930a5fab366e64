package dev.torpor.e2e.qemu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.torpor.agent.engine.Guest;
import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.image.LibvirtImage;
import dev.torpor.agent.image.LibvirtImport;
import dev.torpor.agent.image.LibvirtImport.Verified;
import dev.torpor.e2e.guest.GuestImage;
import dev.torpor.e2e.guest.SavedByLibvirt;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.UUID;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Files that a real libvirt 11.3 wrote: looked at, imported, and fed to a QEMU that libvirt knows nothing of. */
@Tag("qemu")
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@SuppressWarnings("NullAway.Init")
class LibvirtImportIT {
    private static final int MEMORY_MIB = 160;
    private static final int FILL_MIB = 16;

    private Path temp;
    private ImageStore store;
    private SavedByLibvirt saved;

    @BeforeAll
    void save(@TempDir Path folder) throws Exception {
        temp = folder;
        store = ImageStore.open(temp.resolve("store"));
        saved = SavedByLibvirt.make(temp, MEMORY_MIB, FILL_MIB, "zstd", "gzip", "sparse", "sparse+3", "bzip2");
    }

    @AfterAll
    void end() throws TorporException {
        store.close();
    }

    private CommittedImage load(Path file) throws TorporException {
        ImageId id = new ImageId("vms", "web", UUID.randomUUID().toString());
        // As the command does it, beside the store's owner.
        try (ImageStore beside = ImageStore.openReadOnly(temp.resolve("store"))) {
            assertThat(LibvirtImport.run(beside, id, file, 0, (_, _) -> {}).id())
                    .isEqualTo(id);
        }
        return store.open(id);
    }

    private Vm incoming(int memoryMiB, String... more) throws IOException, TorporException {
        List<String> arguments = new ArrayList<>(GuestImage.get().arguments(memoryMiB, FILL_MIB));
        arguments.addAll(List.of("-uuid", SavedByLibvirt.UUID, "-incoming", "defer"));
        arguments.addAll(List.of(more));
        return Vm.start(temp, arguments);
    }

    @ParameterizedTest
    @CsvSource({"raw, 2", "zstd, 2", "gzip, 2", "sparse, 1", "sparse+3, 1"})
    void theGuestGoesOnWhereLibvirtSavedIt(String format, int formatVersion) throws Exception {
        Verified verified = LibvirtImport.verify(saved.file(format), (_, _) -> {});
        assertThat(verified.image().wasRunning()).isTrue();
        assertThat(verified.image().hasCookie()).isTrue();
        assertThat(verified.domain().memoryBytes()).isEqualTo((long) MEMORY_MIB << 20);
        assertThat(verified.domain().machineType()).startsWith("pc-q35-");
        assertThat(verified.streamBytes()).isGreaterThan((long) FILL_MIB << 20);
        assertThat(verified.checksummed()).isEqualTo(format.equals("zstd") || format.equals("gzip"));

        CommittedImage image = load(saved.file(format));
        assertThat(image.formatVersion()).isEqualTo(formatVersion);
        assertThat(image.header().vm().ramBlocks()).containsEntry("pc.ram", (long) MEMORY_MIB << 20);
        assertThat(image.verify((_, _) -> {}).bytes()).isGreaterThan((long) FILL_MIB << 20);
        try (Vm vm = incoming(MEMORY_MIB)) {
            Saving.load(vm, image, store.directIO());
            Guest.resume(vm.qmp());
            Tick tick =
                    vm.process().awaitTick(now -> now.number() > saved.last().number() + 1);
            assertThat(tick.nonce()).isEqualTo(saved.last().nonce());
            assertThat(tick.memoryWrong()).isFalse();
            assertThat(tick.number()).isLessThan(saved.last().number() + 60);
        }
    }

    /** By what is in the file where that is known, holes left out; else by the file's length. */
    @ParameterizedTest
    @ValueSource(strings = {"raw", "zstd", "gzip", "sparse"})
    void theCommandTellsBeforehandWhatDoesNotFit(String format) throws Exception {
        try (MountedFolder small = MountedFolder.tmpfs(temp.resolve("small-" + format), 72)) {
            ImageStore.open(small.path()).close();
            AgentCommand.Result refused = command(saved.file(format), small.path());
            assertThat(refused.code()).isEqualTo(1);
            assertThat(refused.errors())
                    .contains("NotEnoughSpace: the image may need ")
                    .containsPattern("may need [0-9]{8,9} bytes and the store has 7[0-9]{7} free: ");
            try (ImageStore store = ImageStore.open(small.path())) {
                assertThat(store.list()).isEmpty();
                assertThat(store.freeBytes()).isGreaterThan(70L << 20);
            }
        }
        try (MountedFolder enough = MountedFolder.tmpfs(temp.resolve("enough-" + format), 64 + MEMORY_MIB + 16)) {
            ImageStore.open(enough.path()).close();
            AgentCommand.Result done = command(saved.file(format), enough.path());
            assertThat(done.code()).as(done.errors()).isZero();
            try (ImageStore store = ImageStore.open(enough.path())) {
                assertThat(store.list())
                        .singleElement()
                        .satisfies(image -> assertThat(image.id().uid()).isEqualTo(done.output()));
            }
        }
    }

    /** By their path, with no store: what there is to see, and whether all of it is there. */
    @ParameterizedTest
    @ValueSource(strings = {"raw", "zstd", "sparse+3"})
    void theCommandShowsAndVerifiesAFile(String format) throws Exception {
        String name = format.split("\\+", 2)[0];
        AgentCommand.Result shown = AgentCommand.run(temp, "image", "inspect", saved.file(format));
        assertThat(shown.code()).as(shown.errors()).isZero();
        assertThat(shown.output())
                .containsPattern("Image +of libvirt, format version 2, LITTLE_ENDIAN")
                .containsPattern("Mode +Save, of a VM that was running")
                .containsPattern("Stream +" + name + ", at offset [0-9]+")
                .containsPattern("Restore +after torpor-agent image import")
                .contains("<uuid>" + SavedByLibvirt.UUID + "</uuid>");

        AgentCommand.Result json = AgentCommand.run(temp, "image", "inspect", saved.file(format), "-o", "json");
        assertThat(json.code()).as(json.errors()).isZero();
        JsonNode told = new ObjectMapper().readTree(json.output());
        assertThat(told.path("format").asText()).isEqualTo("libvirt");
        assertThat(told.path("streamFormat").asText()).isEqualTo(name);
        assertThat(told.path("domain").asText()).contains("<uuid>" + SavedByLibvirt.UUID + "</uuid>");

        AgentCommand.Result verified = AgentCommand.run(temp, "image", "verify", saved.file(format));
        assertThat(verified.code()).as(verified.errors()).isZero();
        assertThat(verified.output())
                .endsWith(name.equals("zstd") ? "match the checksum of the compression" : "have no checksums");
        Path cut = Files.copy(saved.file(format), temp.resolve("short-" + name));
        try (RandomAccessFile file = new RandomAccessFile(cut.toFile(), "rw")) {
            file.setLength(file.length() - 100);
        }
        AgentCommand.Result refused = AgentCommand.run(temp, "image", "verify", cut);
        assertThat(refused.code()).isEqualTo(3);
        assertThat(refused.errors()).containsPattern("torpor-agent: Image(Truncated|Damaged): ");
    }

    @Test
    void theCommandShowsAFileThatItCannotImport() throws Exception {
        AgentCommand.Result shown = AgentCommand.run(temp, "image", "inspect", saved.file("bzip2"));
        assertThat(shown.code()).as(shown.errors()).isZero();
        assertThat(shown.output()).contains("not of this format: restore the domain with libvirt");
        AgentCommand.Result refused = AgentCommand.run(temp, "image", "verify", saved.file("bzip2"));
        assertThat(refused.code()).isEqualTo(3);
        assertThat(refused.errors()).contains("torpor-agent: ImageFormatUnsupported: ");
    }

    @Test
    void theCommandSaysThatItMayNotReadTheFile() throws Exception {
        Path file = Files.copy(saved.file("raw"), temp.resolve("of-another"));
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-------"));
        Files.setOwner(
                file, file.getFileSystem().getUserPrincipalLookupService().lookupPrincipalByName("nobody"));
        Path mine = temp.resolve("mine");
        ImageStore.open(mine).close();
        AgentCommand.Result refused = AgentCommand.runBoundByModes(temp, importing(file, mine));
        assertThat(refused.code()).isEqualTo(1);
        assertThat(refused.errors())
                .isEqualTo("torpor-agent: StoreFailed: the file cannot be opened to be read: Permission denied");
    }

    private static Object[] importing(Path file, Path store) {
        return new Object[] {"image", "import", file, "--store", store, "--namespace", "vms", "--vm", "web"};
    }

    private AgentCommand.Result command(Path file, Path store) throws IOException, InterruptedException {
        return AgentCommand.run(temp, importing(file, store));
    }

    @ParameterizedTest
    @ValueSource(strings = {"raw", "sparse"})
    void aMachineThatIsAnotherIsNotFed(String format) throws Exception {
        CommittedImage image = load(saved.file(format));
        refuses(FailureReason.MemorySizeMismatch, image, incoming(MEMORY_MIB + 32));
        refuses(
                FailureReason.UUIDMismatch,
                image,
                incoming(MEMORY_MIB, "-uuid", UUID.randomUUID().toString()));
        refuses(FailureReason.VCPUsMismatch, image, incoming(MEMORY_MIB, "-smp", "2"));
        refuses(FailureReason.MachineTypeMismatch, image, incoming(MEMORY_MIB, "-machine", "pc-q35-9.2"));
        refuses(FailureReason.DevicesMismatch, image, incoming(MEMORY_MIB, "-device", "virtio-rng-pci"));
    }

    private void refuses(FailureReason reason, CommittedImage image, Vm vm) {
        try (vm) {
            assertThat(catchThrowableOfType(TorporException.class, () -> Saving.load(vm, image, false)))
                    .hasMessageMatching(".* in the target: .*|the target has .*")
                    .extracting(TorporException::reason)
                    .isEqualTo(reason);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"raw", "zstd", "gzip", "sparse"})
    void aFileThatWasCutOffIsRefused(String format) throws Exception {
        long size = Files.size(saved.file(format));
        for (long length : new long[] {size - 1, size - 100, size / 2, 70_000, 91, 20}) {
            Path cut = Files.copy(saved.file(format), temp.resolve("cut-" + format + "-" + length));
            try (RandomAccessFile file = new RandomAccessFile(cut.toFile(), "rw")) {
                file.setLength(length);
            }
            TorporException verified =
                    catchThrowableOfType(TorporException.class, () -> LibvirtImport.verify(cut, (_, _) -> {}));
            TorporException imported = catchThrowableOfType(TorporException.class, () -> load(cut));
            assertThat(verified.reason())
                    .as("%s of %d bytes", format, length)
                    .isIn(FailureReason.ImageTruncated, FailureReason.ImageDamaged);
            assertThat(imported.reason())
                    .as("%s of %d bytes", format, length)
                    .isIn(FailureReason.ImageTruncated, FailureReason.ImageDamaged, FailureReason.ImageCheckFailed);
            Files.delete(cut);
        }
        nothingIsLeftOfWhatFailed();
    }

    /** Where there is a checksum a flipped bit is found; elsewhere in what is parsed. */
    @ParameterizedTest
    @ValueSource(strings = {"zstd", "gzip"})
    void aFlippedBitIsFound(String format) throws Exception {
        Random random = new Random(11);
        long size = Files.size(saved.file(format));
        for (int round = 0; round < 5; round++) {
            Path flipped = Files.copy(saved.file(format), temp.resolve("flipped-" + format + "-" + round));
            long at = 80_000 + random.nextLong(size - 80_000);
            try (RandomAccessFile file = new RandomAccessFile(flipped.toFile(), "rw")) {
                file.seek(at);
                int was = file.read();
                file.seek(at);
                file.write(was ^ 1 << random.nextInt(8));
            }
            assertThat(catchThrowableOfType(TorporException.class, () -> load(flipped)))
                    .as("flipped at %d", at)
                    .extracting(TorporException::reason)
                    .isIn(FailureReason.ImageDamaged, FailureReason.ImageTruncated);
            Files.delete(flipped);
        }
        nothingIsLeftOfWhatFailed();
    }

    @Test
    void aCompressionThatIsNotReadIsRefusedWithWhatToDo() {
        TorporException refused = catchThrowableOfType(TorporException.class, () -> load(saved.file("bzip2")));
        assertThat(refused.reason()).isEqualTo(FailureReason.ImageFormatUnsupported);
        assertThat(refused).hasMessageContaining("virsh save --image-format zstd, raw or sparse");
    }

    @Test
    void theDomainIsShown() throws Exception {
        LibvirtImage image = LibvirtImage.read(saved.file("sparse")).orElseThrow();
        assertThat(image.version()).isEqualTo(2);
        assertThat(image.format()).isEqualTo(LibvirtImage.Format.SPARSE);
        assertThat(image.xml()).contains("<name>web</name>", SavedByLibvirt.UUID);
    }

    private void nothingIsLeftOfWhatFailed() throws IOException {
        try (var files = Files.list(temp.resolve("store/images/vms/web"))) {
            assertThat(files.map(path -> path.getFileName().toString())).noneMatch(name -> name.contains(".import"));
        }
    }
}
