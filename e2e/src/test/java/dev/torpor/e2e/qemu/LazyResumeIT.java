package dev.torpor.e2e.qemu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.engine.DirectIO;
import dev.torpor.agent.engine.Guest;
import dev.torpor.agent.engine.MappedMemory;
import dev.torpor.agent.engine.ResumeTarget;
import dev.torpor.agent.image.ByteSource;
import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.Extent;
import dev.torpor.agent.image.ImageFiles;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.image.RamBlock;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A guest whose memory is its image is the guest that was saved, and can be saved again. */
@Tag("qemu")
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@SuppressWarnings("NullAway.Init")
class LazyResumeIT {
    private static final String[] TWO_NODES = {
        "-object",
        "memory-backend-ram,id=m0,size=" + Vm.BELOW_4G_MIB + "M",
        "-object",
        "{\"qom-type\":\"memory-backend-memfd\",\"id\":\"m1\",\"size\":"
                + ((long) (Vm.MEMORY_MIB - Vm.BELOW_4G_MIB) << 20) + "}",
        "-numa",
        "node,nodeid=0,memdev=m0",
        "-numa",
        "node,nodeid=1,memdev=m1"
    };

    private Path temp;
    private Path storePath;
    private ImageStore store;
    private Vm source;
    private Tick first;

    @BeforeAll
    void boot(@TempDir Path folder) throws Exception {
        temp = folder;
        storePath = temp.resolve("store");
        store = ImageStore.open(storePath);
        source = Vm.guest(temp);
        first = source.process().awaitTick(tick -> tick.number() >= 1);
    }

    @AfterAll
    void end() throws TorporException {
        source.close();
        store.close();
    }

    @ParameterizedTest(name = "saved with {0} channels")
    @ValueSource(ints = {1, 8})
    void memoryIsTheSameAndReadOnlyWhenItIsWanted(int channels) throws Exception {
        memoryIsTheSame(source, "qemu-system-x86_64", channels);
    }

    /** The installed one and, with TORPOR_QEMU=all, each other that writes images itself. */
    static Stream<QemuVersion> lazyVersions() {
        return QemuVersion.tried().stream().filter(QemuVersion::hasMappedRam);
    }

    @ParameterizedTest(name = "QEMU {0}")
    @MethodSource("lazyVersions")
    void itIsOnEachQemu(QemuVersion qemu) throws Exception {
        try (Vm its = Vm.guestOf(qemu.program(), temp)) {
            its.process().awaitTick(tick -> tick.number() >= 1);
            memoryIsTheSame(its, qemu.program(), 4);
        }
    }

    private void memoryIsTheSame(Vm saved, String qemu, int channels) throws Exception {
        Saving saving = Saving.begin(saved, store, Saving.options(channels, DirectIO.AUTO));
        MemoryDump before = MemoryDump.of(saved.qmp(), temp, "before");
        CommittedImage image = saving.commit(saving.write(new Cancellation(), (_, _) -> {}));
        Guest.resume(saved.qmp());

        try (Vm restored = LazyVm.start(qemu, temp, storePath, image, Vm.guestArguments())) {
            assertThat(LazyVm.load(restored, storePath, image)).containsExactly("pc.ram");
            assertThat(Guest.runState(restored.qmp()).status()).isEqualTo("paused");
            // What device state and samples touched, 2 MiB at a time at most.
            assertThat(LazyVm.residentBytes(restored, image.id().fileName()))
                    .isLessThan(image.layout().presentPages() * 4096 / 2);
            MemoryDump after = MemoryDump.of(restored.qmp(), temp, "after");
            after.assertSameAs(before);
            after.delete();
            assertThat(folderOf(image)).noneMatch(name -> name.endsWith(".shadow"));
        }
        before.delete();
    }

    @Test
    void theGuestGoesOnAndIsSavedAgainWithEveryByte() throws Exception {
        CommittedImage image = Saving.save(source, store);
        Guest.resume(source.qmp());
        CommittedImage again;
        MemoryDump before;
        try (Vm restored = LazyVm.start(temp, storePath, image, Vm.guestArguments())) {
            LazyVm.load(restored, storePath, image);
            Guest.resume(restored.qmp());
            Tick tick = restored.process().awaitTick(each -> true);
            assertThat(tick.nonce()).isEqualTo(first.nonce());
            restored.process().awaitTick(each -> each.number() > tick.number() + 1 && !each.memoryWrong());
            Saving saving = Saving.begin(restored, store, Saving.options(2, DirectIO.AUTO));
            before = MemoryDump.of(restored.qmp(), temp, "before");
            again = saving.commit(saving.write(new Cancellation(), (_, _) -> {}));
            before.assertSameAs(again);
            // A checkpoint: it goes on.
            Guest.resume(restored.qmp());
            long now = restored.process().lastTick().orElseThrow().number();
            restored.process().awaitTick(each -> each.number() > now);
        }
        store.delete(image.id());
        try (Vm eager = Vm.incomingGuest(temp)) {
            Saving.load(eager, again, false);
            MemoryDump after = MemoryDump.of(eager.qmp(), temp, "after");
            after.assertSameAs(before);
            after.delete();
        }
        try (Vm lazy = LazyVm.start(temp, storePath, again, Vm.guestArguments())) {
            LazyVm.load(lazy, storePath, again);
            MemoryDump after = MemoryDump.of(lazy.qmp(), temp, "after");
            after.assertSameAs(before);
            after.delete();
            Guest.resume(lazy.qmp());
            assertThat(lazy.process().awaitTick(each -> true).nonce()).isEqualTo(first.nonce());
        }
        before.delete();
    }

    @Test
    void aGuestWithTwoNodesComesBackFromBothBlocks() throws Exception {
        try (Vm numa = Vm.guest(temp, TWO_NODES)) {
            Tick tick = numa.process().awaitTick(each -> each.number() >= 1);
            Saving saving = Saving.begin(numa, store, Saving.options(2, DirectIO.AUTO));
            MemoryDump before = MemoryDump.of(numa.qmp(), temp, "before");
            CommittedImage image = saving.commit(saving.write(new Cancellation(), (_, _) -> {}));
            try (Vm restored = LazyVm.start(temp, storePath, image, Vm.guestArguments(TWO_NODES))) {
                assertThat(LazyVm.load(restored, storePath, image)).containsExactlyInAnyOrder("m0", "m1");
                MemoryDump after = MemoryDump.of(restored.qmp(), temp, "after");
                after.assertSameAs(before);
                after.delete();
                Guest.resume(restored.qmp());
                Tick next = restored.process().awaitTick(each -> each.number() > tick.number());
                assertThat(next.nonce()).isEqualTo(tick.nonce());
                assertThat(next.memoryWrong()).isFalse();
            }
            before.delete();
        }
    }

    @Test
    void anImageThatIsConsumedTakesItsSpaceAsLongAsItsGuestLives() throws Exception {
        Path own = temp.resolve("own");
        try (MountedFolder _ = MountedFolder.tmpfs(own, 512);
                ImageStore small = ImageStore.open(own.resolve("store"))) {
            CommittedImage image = Saving.save(source, small);
            Guest.resume(source.qmp());
            long bytes = image.layout().presentPages() * 4096;
            long free = small.freeBytes();
            try (Vm restored = LazyVm.start(temp, own.resolve("store"), image, Vm.guestArguments())) {
                LazyVm.load(restored, own.resolve("store"), image);
                small.delete(image.id());
                assertThat(small.list()).isEmpty();
                assertThat(small.freeBytes()).isLessThan(free + bytes / 2);
                Guest.resume(restored.qmp());
                Tick tick = restored.process().awaitTick(each -> true);
                assertThat(tick.nonce()).isEqualTo(first.nonce());
                restored.process().awaitTick(each -> each.number() > tick.number() && !each.memoryWrong());
            }
            // The kernel gives back what a process had a moment after its end.
            await().atMost(Duration.ofMinutes(1))
                    .untilAsserted(() -> assertThat(small.freeBytes()).isGreaterThan(free + bytes / 2));
        }
    }

    @Test
    void pagesOf2MiBAreMappedAsSuchWhereTheFileSystemHasThem() throws Exception {
        Path huge = temp.resolve("huge");
        try (MountedFolder _ = MountedFolder.hugeTmpfs(huge, 512);
                ImageStore own = ImageStore.open(huge.resolve("store"))) {
            CommittedImage image = Saving.save(source, own);
            Guest.resume(source.qmp());
            try (Vm restored = LazyVm.start(temp, huge.resolve("store"), image, Vm.guestArguments())) {
                LazyVm.load(restored, huge.resolve("store"), image);
                MemoryDump.of(restored.qmp(), temp, "touched").delete();
                // What QEMU wrote to meanwhile is its own, in small pages.
                assertThat(LazyVm.hugeBytes(restored, image.id().fileName()))
                        .isGreaterThan(image.layout().presentPages() * 4096 / 2);
            }
        }
    }

    @Test
    void memoryThatIsNotTheImagesIsNoticed() throws Exception {
        CommittedImage image = Saving.save(source, store);
        Guest.resume(source.qmp());
        try (Vm restored = LazyVm.start(temp, storePath, image, Vm.guestArguments());
                ImageFiles files = image.openForQemu(false)) {
            List<String> mapped = LazyVm.load(restored, storePath, image);
            Extent pages = image.layout().blocks().stream()
                    .filter(block -> block.name().equals("pc.ram"))
                    .map(RamBlock::pages)
                    .findFirst()
                    .orElseThrow();
            ByteSource other = (buffer, offset) -> {
                int from = buffer.position();
                int n = files.buffered().read(buffer, offset);
                boolean zero = true;
                for (int i = from; i < from + n; i++) {
                    zero &= buffer.get(i) == 0;
                }
                if (!zero && offset >= pages.offsetBytes() && offset < pages.endBytes()) {
                    buffer.put(from, (byte) (buffer.get(from) + 1));
                }
                return n;
            };
            MappedMemory.Samples samples =
                    MappedMemory.Samples.of(image.layout(), Set.copyOf(mapped), other, new Random(1));
            ResumeTarget target = LazyVm.target(restored, storePath, image);
            assertThatThrownBy(() -> MappedMemory.compare(restored.qmp(), target, samples))
                    .isInstanceOfSatisfying(
                            TorporException.class, e -> assertThat(e.reason()).isEqualTo(FailureReason.LoadFailed))
                    .hasMessageContaining("of RAM block pc.ram is not what the image has there");
        }
    }

    @Test
    void aQemuWithMemoryOfItsOwnHasNothingMapped() throws Exception {
        CommittedImage image = Saving.save(source, store);
        Guest.resume(source.qmp());
        try (Vm eager = Vm.incomingGuest(temp)) {
            assertThat(LazyVm.mapped(eager, storePath, image)).isEmpty();
        }
    }

    private List<String> folderOf(CommittedImage image) throws Exception {
        try (var files = Files.list(Saving.file(storePath, image).getParent())) {
            return files.map(file -> file.getFileName().toString()).toList();
        }
    }
}
