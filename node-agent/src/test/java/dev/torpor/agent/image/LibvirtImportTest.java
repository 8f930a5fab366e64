package dev.torpor.agent.image;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.torpor.agent.linux.Access;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.Directory;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
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
}
