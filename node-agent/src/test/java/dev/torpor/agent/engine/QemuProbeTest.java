package dev.torpor.agent.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.torpor.agent.image.ImageLayout;
import dev.torpor.agent.image.VmDefinition;
import dev.torpor.agent.qmp.FakeMonitor;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpLimits;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The probe against recorded answers of QEMU 10.0.2. */
class QemuProbeTest {
    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    /** Whoever adds up what they say must not get less than nothing. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "0xffffffffffffffff",
                "0x7fffffffffffffff",
                "0x0000400000000001",
                "0x10000000000000000000000000000000000000000"
            })
    void aLieAboutTheSizeOfABlockIsTold(String used) {
        RecordedQemu honest = new RecordedQemu("probe-qemu-10.0.2.qmp");
        TorporException e = catchThrowableOfType(
                TorporException.class,
                () -> probe(line ->
                        honest.apply(line).replace("0x0000000010000000 0x0000000010000000", used + " " + used)));
        assertThat(e.reason()).isEqualTo(FailureReason.NotQEMU);
    }

    @ParameterizedTest
    @ValueSource(strings = {"-1", "9223372036854775807", "70368744177665"})
    void aLieAboutTheSizeOfMemoryIsTold(String base) {
        RecordedQemu honest = new RecordedQemu("probe-qemu-10.0.2.qmp");
        TorporException e = catchThrowableOfType(
                TorporException.class,
                () -> probe(line -> honest.apply(line).replaceFirst("(\"base-memory\":)[0-9]+", "$1" + base)));
        assertThat(e.reason()).isEqualTo(FailureReason.NotQEMU);
    }

    @Test
    void aVmWithVirtioDevices() throws Exception {
        VmFacts facts = probe(new RecordedQemu("probe-qemu-10.0.2.qmp"));

        assertThat(facts.definition())
                .usingRecursiveComparison()
                .ignoringFields("cpuFeatures")
                .isEqualTo(new VmDefinition(
                        "10.0.2",
                        "pc-q35-10.0",
                        2,
                        "11111111-2222-3333-4444-555555555555",
                        "qemu64-x86_64-cpu",
                        "tcg",
                        // virtconsole sits on the serial controller and has no address of its own.
                        List.of(
                                "virtconsole",
                                "virtio-balloon-pci@02.0",
                                "virtio-rng-pci@01.0",
                                "virtio-serial-pci@03.0"),
                        new TreeMap<>(Map.of("pc.ram", 256L << 20)),
                        256L << 20));
        assertThat(facts.definition().cpuFeatures())
                .hasSize(31)
                .containsEntry("1.ECX", 0x8000_2001L)
                .containsEntry("80000001.EDX", 0x2193_fbfdL)
                .containsEntry("7.0.EBX", 0L);
        assertThat(facts.capabilities()).contains("mapped-ram", "multifd", "x-ignore-shared");
        assertThat(facts.parameters()).contains("direct-io", "multifd-channels", "max-bandwidth");
        assertThat(facts.runState()).isEqualTo(new RunState("prelaunch", false));
        assertThat(facts.blockedReasons()).isEmpty();
        // The fake monitor lives in this process, which may open some more.
        assertThat(facts.descriptorsLeft().orElseThrow()).isPositive();
    }

    @Test
    void aVmWithABackendOfItsOwnAndADeviceThatBlocks() throws Exception {
        VmFacts facts = probe(new RecordedQemu("probe-qemu-10.0.2-nvme.qmp"));

        VmDefinition vm = facts.definition();
        assertThat(vm.machineType()).isEqualTo("pc-q35-9.2");
        assertThat(vm.vcpus()).isEqualTo(1);
        assertThat(vm.devices()).containsExactly("nvme@02.0");
        // Video memory is RAM as well; ROMs are made anew by each QEMU.
        assertThat(vm.ramBlocks())
                .hasSize(2)
                .containsEntry("m0", 128L << 20)
                .containsEntry("0000:00:01.0/vga.vram", 16L << 20);
        assertThat(vm.memoryBytes()).isEqualTo(128L << 20);
        assertThat(facts.runState()).isEqualTo(new RunState("running", true));
        assertThat(facts.blockedReasons()).containsExactly("non-migratable device: 0000:00:02.0/nvme");
    }

    @Test
    void aCpuThatIsNoX86TellsNoFeatures() throws Exception {
        Function<String, String> recorded = new RecordedQemu("probe-qemu-10.0.2.qmp");
        VmFacts facts = probe(line -> line.contains("feature-words")
                ? "{\"error\":{\"class\":\"GenericError\",\"desc\":\"Property 'max-arm-cpu.feature-words' not found\"},\"id\":%s}\n"
                        .formatted(
                                line.replaceAll(".*\"id\":\\s*(\\d+).*", "$1").strip())
                : recorded.apply(line));
        assertThat(facts.definition().cpuFeatures()).isEmpty();
        assertThat(facts.definition().cpuModel()).isEqualTo("qemu64-x86_64-cpu");
    }

    @Test
    void aMonitorThatEndsInTheMiddle() throws Exception {
        Function<String, String> recorded = new RecordedQemu("probe-qemu-10.0.2.qmp");
        TorporException e = catchThrowableOfType(
                TorporException.class,
                () -> probe(line -> line.contains("query-uuid") ? FakeMonitor.HANG_UP : recorded.apply(line)));
        assertThat(e.reason()).isEqualTo(FailureReason.QEMUGone);
        assertThat(e).hasMessage("QEMU closed its monitor while we waited for query-uuid");
    }

    @Test
    void aMonitorThatRefusesWhatEveryQemuAnswers() throws Exception {
        Function<String, String> recorded = new RecordedQemu("probe-qemu-10.0.2.qmp");
        TorporException e = catchThrowableOfType(
                TorporException.class,
                () -> probe(line -> line.contains("query-uuid")
                        ? "{\"error\":{\"class\":\"CommandNotFound\",\"desc\":\"not here\"},\"id\":5}\n"
                        : recorded.apply(line)));
        assertThat(e.reason()).isEqualTo(FailureReason.QMPCommandFailed);
        assertThat(e).hasMessage("QEMU refused query-uuid: not here");
    }

    /** It is of use for mapped memory alone. */
    @Test
    void aMapThatIsRefusedIsOneThatNobodyAskedFor() throws Exception {
        Function<String, String> recorded = new RecordedQemu("probe-qemu-10.0.2.qmp");
        Function<String, String> answers = line -> line.contains("info mtree") || line.contains("query-memdev")
                ? "{\"error\":{\"class\":\"GenericError\",\"desc\":\"not here\"},\"id\":"
                        + line.replaceAll(".*\"id\":(\\d+).*", "$1") + "}\n"
                : recorded.apply(line);
        Path socket = temp.resolve("qmp.sock");
        try (FakeMonitor _ = new FakeMonitor(socket, FakeMonitor.GREETING, FakeMonitor.negotiating(answers));
                QmpClient qmp = QmpClient.connect(socket, QmpLimits.DEFAULT)) {
            ResumeTarget target = QemuProbe.target(qmp, new ImageLayout(0, List.of(), 0, 0, 0, 0, 0), "/image");
            assertThat(target.memory()).isEmpty();
            assertThat(target.mapped()).isEmpty();
            assertThat(target.facts().definition().machineType()).isEqualTo("pc-q35-10.0");
        }
    }

    private VmFacts probe(Function<String, String> answers) throws IOException, TorporException {
        Path socket = temp.resolve("qmp.sock");
        try (FakeMonitor _ = new FakeMonitor(socket, FakeMonitor.GREETING, FakeMonitor.negotiating(answers));
                QmpClient qmp = QmpClient.connect(socket, QmpLimits.DEFAULT)) {
            return QemuProbe.probe(qmp);
        }
    }
}
