package dev.torpor.agent.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.torpor.agent.engine.QemuDirectEngine.StoreFacts;
import dev.torpor.agent.image.Compression;
import dev.torpor.agent.qmp.FakeMonitor;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpLimits;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.nio.file.Path;
import java.util.Map;
import java.util.OptionalInt;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What is chosen and refused for each version of QEMU: docs/qemu-versions.md says the same in a table. */
class QemuVersionsTest {
    private static final StoreFacts ROOMY = new StoreFacts(1L << 40, true);
    private static final SaveOptions DIRECT = SaveOptions.DEFAULT.with(Engine.QEMU_DIRECT);
    private static final SaveOptions ZSTD =
            SaveOptions.DEFAULT.with(new Compression(Compression.Method.ZSTD, OptionalInt.empty()));

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    /** Recorded conversations: {@code make record-qmp} writes them, and the tier qemu compares them with the real ones. */
    @ParameterizedTest(name = "QEMU {0}")
    @CsvSource({
        // version, engine that is chosen, does QEMU bypass the page cache, can it compress
        " 4.2, MULTIFD_STREAM, false, false",
        " 5.2, MULTIFD_STREAM, false, true",
        " 6.2, MULTIFD_STREAM, false, true",
        " 7.2, MULTIFD_STREAM, false, true",
        " 8.2, MULTIFD_STREAM, false, true",
        " 9.2, QEMU_DIRECT,    true,  true",
        "10.0, QEMU_DIRECT,    true,  true",
        "10.1, QEMU_DIRECT,    true,  true",
        "10.2, QEMU_DIRECT,    true,  true",
        "11.1, QEMU_DIRECT,    true,  true"
    })
    void aVersionThatRuns(String version, Engine chosen, boolean direct, boolean compresses) throws Exception {
        VmFacts vm = probe(version);
        assertThat(vm.definition().qemuVersion()).startsWith(version + ".");
        assertThat(vm.definition().machineType()).isEqualTo("pc-q35-" + version);
        assertThat(vm.definition().vcpus()).isEqualTo(2);
        assertThat(vm.definition().devices()).contains("virtio-balloon-pci@04.0", "virtio-rng-pci@03.0");
        choose(vm, chosen, direct, compresses);
    }

    /** Up to 7.2 QEMU does not say which blocks are ROMs; they are none of the VM's memory all the same. */
    @ParameterizedTest
    @ValueSource(strings = {"4.2", "5.2", "6.2", "7.2", "8.2", "9.2", "10.0", "10.1", "10.2", "11.1"})
    void itsMemoryIsTheSameInEachVersion(String version) throws Exception {
        assertThat(probe(version).definition().ramBlocks())
                .isEqualTo(new TreeMap<>(Map.of("pc.ram", 64L << 20, "0000:00:01.0/vga.vram", 16L << 20)));
    }

    /** It would die of a save with fewer channels than an earlier one had, so they are always as many. */
    @ParameterizedTest
    @CsvSource({"4.2, 1, 2", "4.2, 16, 2", "4.2, 64, 2", "4.2, , 2", "5.2, 1, 1", "5.2, 16, 16", "11.1, 16, 16"})
    void beforeFiveOneTheNumberOfChannelsIsNotChosen(String version, @Nullable Integer asked, int channels)
            throws Exception {
        SaveOptions options =
                new SaveOptions(asked == null ? OptionalInt.empty() : OptionalInt.of(asked), DirectIO.AUTO, 0);
        assertThat(Engines.plan(probe(version), options.with(Engine.MULTIFD_STREAM), ROOMY)
                        .channels())
                .isEqualTo(channels);
    }

    /**
     * Versions that do not run here, by what QEMU's qapi/migration.json says of them ("Since"): multifd 4.0, multifd-compression
     * 5.0, mapped-ram 9.0, direct-io 9.1.
     */
    @ParameterizedTest(name = "QEMU {0}")
    @CsvSource({
        "4.0, multifd,            multifd-channels,                               MULTIFD_STREAM, false, false",
        "5.0, multifd,            multifd-channels multifd-compression,           MULTIFD_STREAM, false, true",
        "9.0, multifd mapped-ram, cpu-throttle-tailslow multifd-channels multifd-compression,           QEMU_DIRECT,    false, true",
        "9.1, multifd mapped-ram, cpu-throttle-tailslow multifd-channels multifd-compression direct-io, QEMU_DIRECT,    true,  true"
    })
    void aVersionThatWasReadOf(
            String version, String capabilities, String parameters, Engine chosen, boolean direct, boolean compresses)
            throws TorporException {
        assertThat(version).isNotEmpty();
        VmFacts vm = Vms.withParameters(
                Vms.withCapabilities(Vms.RUNNING, capabilities.split(" ", -1)), parameters.split(" ", -1));
        choose(vm, chosen, direct, compresses);
    }

    /** QEMU 2.11 to 3.1 have multifd as x-multifd, of another format, which is not used. */
    @ParameterizedTest
    @ValueSource(strings = {"xbzrle", "x-multifd"})
    void beforeFourNothingCanBeSaved(String capability) {
        refused(Vms.withCapabilities(Vms.RUNNING, capability), SaveOptions.DEFAULT, "lacks multifd");
    }

    private static void choose(VmFacts vm, Engine chosen, boolean direct, boolean compresses) throws TorporException {
        SavePlan plan = Engines.plan(vm, SaveOptions.DEFAULT, ROOMY);
        assertThat(plan.engine()).isEqualTo(chosen);
        assertThat(plan.channels()).isBetween(2, 4);
        // The streams' file is ours, which QEMU's own parameter is of no account to.
        assertThat(plan.directIO()).isEqualTo(direct || chosen == Engine.MULTIFD_STREAM);
        if (chosen == Engine.MULTIFD_STREAM) {
            refused(vm, DIRECT, "lacks mapped-ram: the engine qemu-direct needs QEMU 9.0 or newer");
        }
        if (compresses) {
            assertThat(Engines.plan(vm, ZSTD, ROOMY).engine()).isEqualTo(Engine.MULTIFD_STREAM);
        } else {
            refused(vm, ZSTD, "cannot compress with zstd: it takes QEMU 5.0 or newer");
        }
    }

    private static void refused(VmFacts vm, SaveOptions options, String why) {
        TorporException e = catchThrowableOfType(TorporException.class, () -> Engines.plan(vm, options, ROOMY));
        assertThat(e.reason()).isEqualTo(FailureReason.CapabilityMissing);
        assertThat(e).hasMessageContaining(why);
    }

    private VmFacts probe(String version) throws Exception {
        RecordedQemu recorded = new RecordedQemu("qemu-" + version + ".qmp");
        Path socket = temp.resolve("qmp.sock");
        try (FakeMonitor _ = new FakeMonitor(socket, recorded.greeting(), FakeMonitor.negotiating(recorded));
                QmpClient qmp = QmpClient.connect(socket, QmpLimits.DEFAULT)) {
            return QemuProbe.probe(qmp);
        }
    }
}
