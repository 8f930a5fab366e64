package dev.torpor.e2e.qemu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.engine.DirectIO;
import dev.torpor.agent.engine.Engine;
import dev.torpor.agent.engine.Guest;
import dev.torpor.agent.engine.QemuProbe;
import dev.torpor.agent.engine.SaveOptions;
import dev.torpor.agent.engine.VmFacts;
import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.Compression;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.e2e.tree.WorkTree;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.nio.file.Path;
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

/** QEMU 7.2, which has no mapped-ram: it takes its first connection for the main channel, and ends when a load fails. */
@Tag("qemu")
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@SuppressWarnings("NullAway.Init")
class OldQemuIT {
    private static final String MACHINE = "pc-q35-7.2";

    private Path temp;
    private String qemu;
    private ImageStore store;
    private Vm source;
    private Tick first;

    @BeforeAll
    void boot(@TempDir Path folder) throws Exception {
        temp = folder;
        qemu = WorkTree.run("tools/qemu.sh", "7.2");
        store = ImageStore.open(temp.resolve("store"));
        source = Vm.guestOf(qemu, temp);
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
    }

    @Test
    void theProbeSeesWhatItHas() throws Exception {
        VmFacts facts = QemuProbe.probe(source.qmp());
        assertThat(facts.definition().qemuVersion()).startsWith("7.2.");
        assertThat(facts.definition().machineType()).isEqualTo(MACHINE);
        assertThat(facts.capabilities()).contains("multifd").doesNotContain("mapped-ram");
        assertThat(facts.definition().ramBlocks()).containsEntry("pc.ram", (long) Vm.MEMORY_MIB << 20);
    }

    @ParameterizedTest(name = "{0} channels, {1}")
    @CsvSource({"1, NONE", "4, NONE", "16, NONE", "2, ZLIB", "4, ZSTD"})
    void memoryIsTheSameBeforeAndAfter(int channels, Compression.Method method) throws Exception {
        // No engine is asked for: there is one that works here.
        SaveOptions options =
                Saving.options(channels, DirectIO.AUTO).with(new Compression(method, OptionalInt.empty()));
        Saving saving = Saving.begin(source, store, options);
        assertThat(saving.plan().engine()).isEqualTo(Engine.MULTIFD_STREAM);
        MemoryDump before = MemoryDump.of(source.qmp(), temp, "before");
        CommittedImage image = saving.commit(saving.write(new Cancellation(), (_, _) -> {}));
        try (Vm restored = Vm.guestOf(qemu, temp, "-incoming", "defer")) {
            assertThat(Saving.load(restored, image, store.directIO()).channels())
                    .isEqualTo(channels);
            MemoryDump after = MemoryDump.of(restored.qmp(), temp, "after");
            after.assertSameAs(before);
            after.delete();
            Guest.resume(restored.qmp());
            assertThat(restored.process().awaitTick(tick -> true).nonce()).isEqualTo(first.nonce());
        }
        before.delete();
    }

    @Test
    void aNewerQemuGoesOnWithTheSameMachine() throws Exception {
        CommittedImage image = Saving.save(source, store);
        try (Vm restored = Vm.guest(temp, "-machine", MACHINE, "-incoming", "defer")) {
            // What -cpu max is has changed since; that is for the owner to pin, and not what is tried here.
            Saving.loadUnchecked(restored, image, store.directIO());
            Guest.resume(restored.qmp());
            assertThat(restored.process().awaitTick(tick -> true).nonce()).isEqualTo(first.nonce());
        }
    }

    @Test
    void aLoadThatFailsEndsItAndTheImageIsSafe() throws Exception {
        CommittedImage image = Saving.save(source, store);
        try (Vm other = Vm.guestOf(qemu, temp, "-machine", "pc-q35-7.1", "-incoming", "defer")) {
            TorporException e =
                    catchThrowableOfType(TorporException.class, () -> Saving.loadUnchecked(other, image, false));
            assertThat(e.reason()).isIn(FailureReason.QEMUGone, FailureReason.LoadFailed);
        }
        try (Vm restored = Vm.guestOf(qemu, temp, "-incoming", "defer")) {
            Saving.load(restored, store.open(image.id()), false);
            Guest.resume(restored.qmp());
            assertThat(restored.process().awaitTick(tick -> true).nonce()).isEqualTo(first.nonce());
        }
    }

    @Test
    void whatItCannotDoIsSaid() {
        TorporException e = catchThrowableOfType(
                TorporException.class, () -> Saving.begin(source, store, SaveOptions.DEFAULT.with(Engine.QEMU_DIRECT)));
        assertThat(e.reason()).isEqualTo(FailureReason.CapabilityMissing);
        assertThat(e)
                .hasMessageMatching(
                        "QEMU 7\\.2\\.[0-9]+ lacks mapped-ram: the engine qemu-direct needs QEMU 9.0 or newer");
    }
}
