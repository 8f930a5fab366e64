package dev.torpor.agent.image;

import static java.nio.charset.StandardCharsets.UTF_8;
import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.assertj.core.api.Assertions.fail;

import dev.torpor.agent.linux.Access;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.Directory;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import io.airlift.compress.zstd.ZstdOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReference;
import java.util.zip.GZIPOutputStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class LibvirtImportTest {
    private static final int DATA_BYTES = 70_003;
    private static final int STREAM_OFFSET = 92 + DATA_BYTES;
    private static final int PAGES_BYTES = 3 << 20;
    private static final String XML = LibvirtDomainTest.XML;
    private static final byte[] STATE = SampleStream.deviceState("{\"devices\":[]}");

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @SuppressWarnings("NullAway.Init")
    private ImageStore owner;

    @SuppressWarnings("NullAway.Init")
    private ImageStore beside;

    @BeforeEach
    void open() throws TorporException {
        owner = ImageStore.open(temp.resolve("store"));
        beside = ImageStore.openReadOnly(temp.resolve("store"));
    }

    @AfterEach
    void close() throws TorporException {
        beside.close();
        owner.close();
    }

    private Path file(ByteOrder order, int format, String xml) throws IOException {
        ByteBuffer head = ByteBuffer.allocate(STREAM_OFFSET).order(order);
        head.put("LibvirtQemudSave".getBytes(UTF_8));
        head.putInt(2).putInt(DATA_BYTES).putInt(1).putInt(format).putInt(0);
        head.put(92, xml.getBytes(UTF_8));
        return Files.write(temp.resolve("file"), head.array());
    }

    private Path sparse(ByteOrder order, String xml) throws IOException {
        Path file = file(order, 6, xml);
        new SampleStream().compose(STREAM_OFFSET).writeTo(file);
        return file;
    }

    /** A stream of one channel: its head, bytes for pages, device state. */
    private Path raw(ByteOrder order, String xml, String... capabilities) throws IOException {
        SampleStream.Bytes stream = new SampleStream.Bytes()
                .raw("QEVM".getBytes(UTF_8))
                .u32(3)
                .u8(7)
                .u32(SampleStream.MACHINE.length())
                .raw(SampleStream.MACHINE.getBytes(UTF_8));
        if (capabilities.length > 0) {
            stream.u8(5).name("configuration/capabilities").u32(1).u32(capabilities.length);
            Arrays.stream(capabilities).forEach(stream::name);
        }
        stream.u8(1).u32(2).name("ram").u32(0).u32(4).u64((2 << 20) + 8192 | 4);
        stream.name("pc.ram").u64(2 << 20).name("pc.bios").u64(8192);
        byte[] pages = new byte[PAGES_BYTES];
        Arrays.fill(pages, (byte) 7);
        byte[] bytes = stream.raw(pages).raw(STATE).done();
        Path file = file(order, 0, xml);
        try (RandomAccessFile out = new RandomAccessFile(file.toFile(), "rw")) {
            out.seek(STREAM_OFFSET);
            out.write(bytes);
        }
        return file;
    }

    private CommittedImage load(Path file) throws TorporException {
        return LibvirtImport.run(beside, SampleStream.ID, file, 0, (_, _) -> {});
    }

    private void refuses(FailureReason reason, String why, Path file) throws TorporException {
        assertThatThrownBy(() -> load(file))
                .isInstanceOfSatisfying(
                        TorporException.class, e -> assertThat(e.reason()).isEqualTo(reason))
                .hasMessageContaining(why);
        assertThat(owner.list()).isEmpty();
        Path folder = temp.resolve("store/images/default/vm1");
        assertThat(folder).satisfiesAnyOf(f -> assertThat(f).doesNotExist(), f -> assertThat(f)
                .isEmptyDirectory());
    }

    @ParameterizedTest
    @ValueSource(strings = {"LITTLE_ENDIAN", "BIG_ENDIAN"})
    void pagesOfASparseFileComeToTheirPlaces(String order) throws IOException, TorporException {
        ByteOrder byteOrder = order.startsWith("B") ? ByteOrder.BIG_ENDIAN : ByteOrder.LITTLE_ENDIAN;
        Path file = sparse(byteOrder, XML);
        byte[] before = Files.readAllBytes(file);
        load(file);
        assertThat(Files.readAllBytes(file)).isEqualTo(before);

        CommittedImage image = owner.open(SampleStream.ID);
        image.requireRestorable();
        assertThat(image.formatVersion()).isEqualTo(1);
        assertThat(image.header().isOfLibvirt()).isTrue();
        assertThat(image.header().mode()).isEqualTo(ImageMode.MANAGED_SAVE);
        assertThat(image.header().wasRunning()).isTrue();
        assertThat(image.header().vm().devices()).containsExactly("@1f.2", "@03.0");
        assertThat(image.header().vm().ramBlocks())
                .containsEntry("pc.ram", 2L << 20)
                .containsEntry("pc.bios", 8192L);
        assertThat(image.layout().presentPages()).isEqualTo(4);
        assertThat(image.record().orElseThrow().isWithoutRequest()).isTrue();
        RamBlock ram = image.layout().blocks().getFirst();
        assertThat(ram.pages().offsetBytes()).isEqualTo(2 << 20);
        try (Directory folder = Directory.open(temp.resolve("store/images/default/vm1"));
                Descriptor copy = folder.openFile(SampleStream.ID.fileName(), Access.READ)) {
            for (int page : List.of(0, 1, 300)) {
                ByteBuffer one = ByteBuffer.allocate((int) SampleStream.PAGE);
                copy.read(one, ram.pages().offsetBytes() + page * SampleStream.PAGE);
                assertThat(one.array()).containsOnly((byte) (page + 1));
            }
            ByteBuffer hole = ByteBuffer.allocate((int) SampleStream.PAGE);
            copy.read(hole, ram.pages().offsetBytes() + 2 * SampleStream.PAGE);
            assertThat(hole.array()).containsOnly((byte) 0);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"LITTLE_ENDIAN", "BIG_ENDIAN"})
    void aPlainStreamBecomesOneChannel(String order) throws IOException, TorporException {
        ByteOrder byteOrder = order.startsWith("B") ? ByteOrder.BIG_ENDIAN : ByteOrder.LITTLE_ENDIAN;
        Path file = raw(byteOrder, XML);
        assertThat(load(file).formatVersion()).isEqualTo(2);
        CommittedImage image = owner.open(SampleStream.ID);
        long length = Files.size(file) - STREAM_OFFSET;
        assertThat(image.layout().channels().orElseThrow().lengthsBytes()).containsExactly(length);
        assertThat(image.verify((_, _) -> {}).bytes()).isEqualTo(length);
        assertThat(LibvirtImport.verify(file, (_, _) -> {}).streamBytes()).isEqualTo(length);
    }

    @Test
    void aStreamThatIsNotTheDomainsIsRefused() throws IOException, TorporException {
        String other = XML.replace("pc-q35-10.0", "pc-q35-9.2");
        refuses(FailureReason.ImageDamaged, "the domain says pc-q35-9.2", sparse(ByteOrder.LITTLE_ENDIAN, other));
        refuses(FailureReason.ImageDamaged, "the domain says pc-q35-9.2", raw(ByteOrder.LITTLE_ENDIAN, other));
    }

    @Test
    void aStreamThatWasCutOffIsRefused() throws IOException, TorporException {
        Path file = raw(ByteOrder.LITTLE_ENDIAN, XML);
        // What is left ends with the zero byte of the device state: only that the description is missing tells.
        int toItsZero = "{\"devices\":[]}".length() + 5;
        try (RandomAccessFile cut = new RandomAccessFile(file.toFile(), "rw")) {
            cut.setLength(cut.length() - toItsZero);
        }
        refuses(FailureReason.ImageDamaged, "does not end as QEMU ends one", file);
        Path sparse = sparse(ByteOrder.LITTLE_ENDIAN, XML);
        try (RandomAccessFile cut = new RandomAccessFile(sparse.toFile(), "rw")) {
            cut.setLength(cut.length() - "{\"devices\":[]}".length() - 5);
        }
        refuses(FailureReason.ImageDamaged, "does not end as QEMU ends one", sparse);
    }

    @Test
    void aStreamThatNeedsACapabilityIsRefused() throws IOException, TorporException {
        refuses(
                FailureReason.ImageDamaged,
                "needs the capability 'x-ignore-shared'",
                raw(ByteOrder.LITTLE_ENDIAN, XML, "x-ignore-shared"));
    }

    @Test
    void whatAnImportThatWasKilledLeftGoesWithTheNext() throws IOException, TorporException {
        beside.createBeside(
                new ImageId("default", "vm1", "dead"),
                new PartialIntent(ImageMode.MANAGED_SAVE, 0, true, Optional.empty(), Instant.EPOCH, false, true));
        Path left = temp.resolve("store/images/default/vm1/.dead.img.import");
        assertThat(left).exists();
        assertThat(owner.list()).isEmpty();
        load(raw(ByteOrder.LITTLE_ENDIAN, XML));
        assertThat(left).doesNotExist();
        assertThat(owner.list()).hasSize(1);
    }

    @Test
    void twoImportsOfOneVmTakeTurns() throws IOException, TorporException {
        Path file = raw(ByteOrder.LITTLE_ENDIAN, XML);
        ImageId second = new ImageId("default", "vm1", "second");
        AtomicReference<@Nullable TorporException> refusal = new AtomicReference<>();
        LibvirtImport.run(beside, SampleStream.ID, file, 0, (_, _) -> {
            if (refusal.get() != null) {
                return;
            }
            // As another process does it, in the middle of the first one.
            try (ImageStore another = ImageStore.openReadOnly(temp.resolve("store"))) {
                refusal.set(catchThrowableOfType(
                        TorporException.class, () -> LibvirtImport.run(another, second, file, 0, (_, _) -> {})));
                var _ = LibvirtImport.run(another, new ImageId("default", "vm2", "other"), file, 0, (_, _) -> {});
            } catch (TorporException e) {
                throw new IllegalStateException(e);
            }
        });
        assertThat(refusal.get()).isNotNull();
        assertThat(requireNonNull(refusal.get()).reason()).isEqualTo(FailureReason.StoreFailed);
        assertThat(refusal.get())
                .hasMessage("another import of VM default/vm1 is under way: try again when it has ended");
        assertThat(owner.open(SampleStream.ID).verify((_, _) -> {}).bytes()).isGreaterThan(PAGES_BYTES);
        assertThat(owner.list("default", "vm1")).hasSize(1);
        assertThat(owner.list("default", "vm2")).hasSize(1);
        LibvirtImport.run(beside, second, file, 0, (_, _) -> {});
        assertThat(owner.list("default", "vm1")).hasSize(2);
    }

    @Test
    void whatDoesNotFitIsRefusedBeforeAnythingIsCopied() throws IOException, TorporException {
        Path file = raw(ByteOrder.LITTLE_ENDIAN, XML);
        long free = owner.freeBytes();
        Map<Integer, Integer> magics = Map.of(0, 0x5145_564D, 1, 0x1F8B_0800, 5, 0x28B5_2FFD);
        for (Map.Entry<Integer, Integer> magic : magics.entrySet()) {
            try (RandomAccessFile out = new RandomAccessFile(file.toFile(), "rw")) {
                out.seek(28);
                out.writeInt(Integer.reverseBytes(magic.getKey()));
                out.seek(STREAM_OFFSET);
                out.writeInt(magic.getValue());
                out.setLength(STREAM_OFFSET + free + (1 << 30)); // a hole
            }
            TorporException refused = catchThrowableOfType(
                    TorporException.class,
                    () -> LibvirtImport.run(beside, SampleStream.ID, file, 0, (_, _) -> fail("something was read")));
            assertThat(refused.reason()).as(refused.getMessage()).isEqualTo(FailureReason.NotEnoughSpace);
            assertThat(refused)
                    .hasMessageMatching("the image may need " + (free + (1L << 30) + (64L << 20))
                            + " bytes and the store has [0-9]+ free: .*");
        }
        refuses(FailureReason.NotEnoughSpace, "bytes and the store has", file);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 5})
    void whatDecompressesWithoutEndFillsNoDisk(int format) throws IOException, TorporException {
        byte[] plain = Files.readAllBytes(raw(ByteOrder.LITTLE_ENDIAN, XML));
        Path file = file(ByteOrder.LITTLE_ENDIAN, format, XML);
        byte[] zeros = new byte[1 << 20];
        try (OutputStream out = Files.newOutputStream(file, StandardOpenOption.APPEND);
                OutputStream bomb = format == 1 ? new GZIPOutputStream(out) : new ZstdOutputStream(out)) {
            bomb.write(plain, STREAM_OFFSET, plain.length - STREAM_OFFSET);
            for (int mebibytes = 0; mebibytes < 512; mebibytes++) {
                bomb.write(zeros);
            }
        }
        assertThat(Files.size(file)).isLessThan(16 << 20);
        String why = "its stream is longer than one of a machine with " + ((2 << 20) + 8192) + " bytes of memory";
        refuses(FailureReason.ImageDamaged, why, file);
        assertThatThrownBy(() -> LibvirtImport.verify(file, (_, _) -> {})).hasMessageContaining(why);
    }

    @Test
    void anImageThatIsRecordedIsNotToldAsOneThatIsNotThere() throws IOException, TorporException {
        Path file = raw(ByteOrder.LITTLE_ENDIAN, XML);
        try (ImageStore failing = ImageStore.open(temp.resolve("failing"), step -> {
            if (step == Step.RECORDED_COMPLETE) {
                throw new IOException("Input/output error");
            }
        })) {
            TorporException e = catchThrowableOfType(
                    TorporException.class, () -> LibvirtImport.run(failing, SampleStream.ID, file, 0, (_, _) -> {}));
            assertThat(e.reason()).isEqualTo(FailureReason.StoreFailed);
            assertThat(e)
                    .hasMessage("image " + SampleStream.ID + " cannot be committed: Input/output error: image "
                            + SampleStream.ID + " may be there all the same, and is given to its VM's next start then:"
                            + " see torpor-agent image inspect " + SampleStream.ID.uid());
            failing.open(SampleStream.ID).requireRestorable();
        }
    }

    @Test
    void whatIsNoSuchFileIsSaid() throws IOException, TorporException {
        Path file = raw(ByteOrder.LITTLE_ENDIAN, XML);
        refuses(FailureReason.ImageMissing, "the image's file is missing", temp.resolve("nothing"));
        refuses(FailureReason.ImageMissing, "the image's file is missing", temp.resolve("no/folder"));
        refuses(FailureReason.ImageMissing, "is not a file", temp);
        Path link = Files.createSymbolicLink(temp.resolve("link"), file);
        refuses(FailureReason.ImageMissing, "is not a file, or a link, which is not followed", link);
        Path letter = Files.writeString(temp.resolve("letter"), "Dear reader, ".repeat(100));
        refuses(FailureReason.ImageDamaged, "does not begin as one that virsh save wrote", letter);
        refuses(
                FailureReason.ImageDamaged,
                "does not begin as one that virsh save wrote",
                Files.createFile(temp.resolve("empty")));
    }
}
