package dev.torpor.e2e.qemu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import com.fasterxml.jackson.databind.JsonNode;
import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.engine.DirectIO;
import dev.torpor.agent.engine.Engine;
import dev.torpor.agent.engine.Guest;
import dev.torpor.agent.engine.LoadReport;
import dev.torpor.agent.engine.ProgressListener;
import dev.torpor.agent.engine.SaveOptions;
import dev.torpor.agent.image.ChannelLayout;
import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.Compression;
import dev.torpor.agent.image.ImageHeader;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.image.PageCheck;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** QEMU's channels, recorded and played: whatever their number and compression, memory is what it was. */
@Tag("qemu")
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@SuppressWarnings("NullAway.Init")
class MultifdStreamIT {
    private Path temp;
    private ImageStore store;
    private Vm source;
    private Tick first;

    @BeforeAll
    void boot(@TempDir Path folder) throws Exception {
        temp = folder;
        store = ImageStore.open(temp.resolve("store"));
        source = Vm.guest(temp);
        first = source.process().awaitTick(tick -> tick.number() >= 1);
    }

    @AfterAll
    void end() throws TorporException {
        source.close();
        store.close();
    }

    @AfterEach
    void theSourceRunsOn() throws Exception {
        Guest.resume(source.qmp());
        long now = source.process().lastTick().orElseThrow().number();
        Tick next = source.process().awaitTick(tick -> tick.number() > now);
        assertThat(next.nonce()).isEqualTo(first.nonce());
        assertThat(next.memoryWrong()).isFalse();
        for (var image : store.list()) {
            store.delete(image.id());
        }
    }

    /** What is asked for at the save is asked for no more: the image knows. Direct I/O is of no account to it. */
    @ParameterizedTest(name = "{0} channels, {1} {2}, saved with direct I/O {3}, loaded with {4}")
    @CsvSource({
        "1,  NONE,   , REQUIRED, true",
        "2,  NONE,   , OFF,      true",
        "3,  NONE,   , REQUIRED, false",
        "8,  NONE,   , OFF,      false",
        "16, NONE,   , REQUIRED, true",
        "1,  ZLIB,   , REQUIRED, true",
        "4,  ZLIB,  9, OFF,      true",
        "1,  ZSTD,   , REQUIRED, false",
        "5,  ZSTD,  3, REQUIRED, true",
        "16, ZSTD, 20, OFF,      false"
    })
    void memoryIsTheSameBeforeAndAfter(
            int channels, Compression.Method method, Integer level, DirectIO directIO, boolean loadsDirectly)
            throws Exception {
        Compression compression = new Compression(method, level == null ? OptionalInt.empty() : OptionalInt.of(level));
        SaveOptions options =
                Saving.options(channels, directIO).with(Engine.MULTIFD_STREAM).with(compression);
        Saving saving = Saving.begin(source, store, options);
        MemoryDump before = MemoryDump.of(source.qmp(), temp, "before");
        List<JsonNode> settings = new ArrayList<>();
        ProgressListener asks = (_, _) -> settings.add(parameters(source));
        CommittedImage image = saving.commit(saving.write(new Cancellation(), asks));

        // That it was saved so is QEMU's word, not only the header's.
        assertThat(settings).isNotEmpty().allSatisfy(set -> {
            assertThat(set.path("multifd-channels").asInt()).isEqualTo(channels);
            assertThat(set.path("multifd-compression").asText())
                    .isEqualTo(compression.method().word());
            if (level != null) {
                assertThat(set.path("multifd-" + compression.method().word() + "-level")
                                .asInt())
                        .isEqualTo(level);
            }
        });
        assertThat(image.header().engine()).isEqualTo("multifd-stream");
        assertThat(image.header().channels()).isEqualTo(channels);
        assertThat(image.formatVersion()).isEqualTo(2);
        ChannelLayout layout = image.layout().channels().orElseThrow();
        assertThat(layout.compression()).isEqualTo(compression);
        assertThat(layout.lengthsBytes()).hasSize(channels + 1);
        // The guest has random data of 16 MiB, which nothing compresses.
        assertThat(layout.totalBytes()).isGreaterThan(16L << 20);

        CommittedImage opened = store.open(image.id());
        assertThat(opened.verify((_, _) -> {})).isEqualTo(new PageCheck(layout.totalBytes(), true));
        try (Vm restored = Vm.incomingGuest(temp)) {
            LoadReport load = Saving.load(restored, opened, loadsDirectly);
            assertThat(load.channels()).isEqualTo(channels);
            assertThat(load.directIO()).isEqualTo(loadsDirectly);
            MemoryDump after = MemoryDump.of(restored.qmp(), temp, "after");
            after.assertSameAs(before);
            after.delete();
            Guest.resume(restored.qmp());
            assertThat(restored.process().awaitTick(tick -> true).nonce()).isEqualTo(first.nonce());
            assertThat(restored.qmp().execute("query-fdsets")).isEmpty();
        }
        before.delete();
    }

    private static JsonNode parameters(Vm vm) {
        try {
            return vm.qmp().execute("query-migrate-parameters");
        } catch (TorporException e) {
            throw new IllegalStateException(e);
        }
    }

    @Test
    void damageInAStreamIsFoundBeforeTheGuestRuns() throws Exception {
        CommittedImage image =
                Saving.save(source, store, Saving.options(2, DirectIO.OFF).with(Engine.MULTIFD_STREAM));
        long secondMiBOfAChannel = ImageHeader.STREAM_OFFSET_BYTES + (4L << 20) + 4711;
        try (FileChannel file = FileChannel.open(
                Saving.file(temp.resolve("store"), image), StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            ByteBuffer one = ByteBuffer.allocate(1);
            file.read(one, secondMiBOfAChannel);
            file.write(ByteBuffer.wrap(new byte[] {(byte) (one.get(0) ^ 1)}), secondMiBOfAChannel);
        }
        CommittedImage damaged = store.open(image.id()); // its pages are not looked at before they are wanted
        try (Vm target = Vm.incomingGuest(temp)) {
            TorporException e =
                    catchThrowableOfType(TorporException.class, () -> Saving.load(target, damaged, store.directIO()));
            assertThat(e.reason()).isEqualTo(FailureReason.ImageDamaged);
            assertThat(e).hasMessageStartingWith("the image is damaged: the checksum of channel 1 at offset ");
            // What QEMU got of it is of no use. It may hang now, so it is not asked; nobody let its guest run.
            assertThat(target.process().lastTick()).isEmpty();
        }
    }

    /** A deadline that passes in the middle: nothing of QEMU's is waited for, and the image is as good as before. */
    @Test
    void aLoadIsLeftInTheMiddleAndTheImageIsLoadedByAnother() throws Exception {
        CommittedImage image =
                Saving.save(source, store, Saving.options(2, DirectIO.AUTO).with(Engine.MULTIFD_STREAM));
        Cancellation cancellation = new Cancellation();
        try (Vm target = Vm.incomingGuest(temp)) {
            TorporException e = catchThrowableOfType(
                    TorporException.class,
                    () -> Saving.loadUnchecked(
                            target,
                            image,
                            store.directIO(),
                            cancellation,
                            (_, _) -> cancellation.request(FailureReason.DeadlineExceeded, "that's enough")));
            assertThat(e.reason()).isEqualTo(FailureReason.DeadlineExceeded);
            assertThat(target.process().lastTick()).isEmpty();
        }
        try (Vm target = Vm.incomingGuest(temp)) {
            var _ = Saving.load(target, image, store.directIO());
            Guest.resume(target.qmp());
            Tick next = target.process().awaitTick(tick -> true);
            assertThat(next.nonce()).isEqualTo(first.nonce());
            assertThat(next.memoryWrong()).isFalse();
        }
    }

    @Test
    void anImageSavedWithTheOtherEngineIsReadByThat() throws Exception {
        CommittedImage direct = Saving.save(source, store, Engine.QEMU_DIRECT);
        assertThat(direct.formatVersion()).isEqualTo(1);
        assertThat(direct.layout().channels()).isEmpty();
        Guest.resume(source.qmp());
        // Asked for compression, and for no engine: there is one that has it.
        CommittedImage image = Saving.save(
                source, store, SaveOptions.DEFAULT.with(new Compression(Compression.Method.ZSTD, OptionalInt.empty())));
        assertThat(image.header().engine()).isEqualTo("multifd-stream");
        // Text and code of the guest's kernel and tools, beside 16 MiB of random data.
        assertThat(image.allocatedBytes()).isLessThan(direct.allocatedBytes() * 3 / 4);
    }

    @Test
    void channelsWithLittleToSayLeaveHolesAndAreLoadedAgain() throws Exception {
        // Some 16 KiB of firmware's data: one channel has it, and the others next to nothing. More uneven QEMU does not
        // make
        // them: it gives packets of 128 pages, zeros among them, to its channels in turn, so that each has two of the
        // 33 of
        // this memory, and is as busy as the pages in its packets are many. None is left out, and none has it all, of a
        // guest
        // with data in more than a packet.
        try (Vm bare = Vm.bare(temp, 16)) {
            Saving saving =
                    Saving.begin(bare, store, Saving.options(16, DirectIO.AUTO).with(Engine.MULTIFD_STREAM));
            MemoryDump before = MemoryDump.of(bare.qmp(), temp, "before");
            CommittedImage image = saving.commit(saving.write(new Cancellation(), (_, _) -> {}));
            ChannelLayout layout = image.layout().channels().orElseThrow();
            long aligned = layout.lengthsBytes().stream()
                    .mapToLong(bytes -> (bytes + 4095) / 4096 * 4096)
                    .sum();
            assertThat(image.sizeBytes()).isGreaterThan(17L << 20);
            // Header area, table of checksums, and what the file system needs for itself.
            assertThat(image.allocatedBytes()).isBetween(aligned, aligned + (64 << 10));
            // All beside the main one: what the busy one has, the others' heads and what each says at a round's end.
            List<Long> lengths = layout.lengthsBytes().subList(1, 17);
            assertThat(Collections.max(lengths)).isGreaterThan(8 * Collections.min(lengths));

            CommittedImage opened = store.open(image.id());
            assertThat(opened.verify((_, _) -> {})).isEqualTo(new PageCheck(layout.totalBytes(), true));
            try (Vm loaded = Vm.bare(temp, 16, "-incoming", "defer")) {
                assertThat(Saving.load(loaded, opened, store.directIO()).channels())
                        .isEqualTo(16);
                MemoryDump after = MemoryDump.of(loaded.qmp(), temp, "after");
                after.assertSameAs(before);
                after.delete();
            }
            before.delete();
        }
    }
}
