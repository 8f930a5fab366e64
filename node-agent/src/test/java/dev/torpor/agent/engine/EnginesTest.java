package dev.torpor.agent.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.torpor.agent.engine.QemuDirectEngine.StoreFacts;
import dev.torpor.agent.image.Compression;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;

/** Which engine a VM is saved by, and which cannot. */
class EnginesTest {
    private static final StoreFacts ROOMY = new StoreFacts(1L << 40, true);
    private static final Compression ZSTD = new Compression(Compression.Method.ZSTD, OptionalInt.of(3));
    private static final VmFacts NEW = Vms.withParameters(
            Vms.RUNNING, "direct-io", "multifd-channels", "multifd-compression", "cpu-throttle-tailslow");
    /** As 7.2 is. */
    private static final VmFacts OLD = Vms.withParameters(
            Vms.withCapabilities(Vms.RUNNING, "multifd", "xbzrle"),
            "multifd-channels",
            "multifd-compression",
            "cpu-throttle-tailslow");
    /** As 4.0 is. */
    private static final VmFacts OLDEST =
            Vms.withParameters(Vms.withCapabilities(Vms.RUNNING, "multifd"), "multifd-channels");

    @Test
    void qemuWritesByItselfIfItCan() throws TorporException {
        assertThat(Engines.plan(NEW, SaveOptions.DEFAULT, ROOMY).engine()).isEqualTo(Engine.QEMU_DIRECT);
    }

    @Test
    void channelsAreRecordedIfItCannot() throws TorporException {
        SavePlan plan = Engines.plan(OLD, SaveOptions.DEFAULT, ROOMY);
        assertThat(plan.engine()).isEqualTo(Engine.MULTIFD_STREAM);
        assertThat(plan.channels()).isBetween(2, 4);
        // The file is ours: QEMU need not know of direct I/O.
        assertThat(plan.directIO()).isTrue();
        assertThat(plan.memoryBytes()).isEqualTo(Vms.RAM_BYTES);
        assertThat(Engines.plan(OLDEST, SaveOptions.DEFAULT, ROOMY).engine()).isEqualTo(Engine.MULTIFD_STREAM);
    }

    @Test
    void channelsAreRecordedIfTheyAreToBeCompressed() throws TorporException {
        SavePlan plan = Engines.plan(NEW, SaveOptions.DEFAULT.with(ZSTD), ROOMY);
        assertThat(plan.engine()).isEqualTo(Engine.MULTIFD_STREAM);
        assertThat(plan.compression()).isEqualTo(ZSTD);
    }

    @Test
    void whatIsAskedForIsDoneOrRefused() throws TorporException {
        assertThat(Engines.plan(NEW, SaveOptions.DEFAULT.with(Engine.MULTIFD_STREAM), ROOMY)
                        .engine())
                .isEqualTo(Engine.MULTIFD_STREAM);
        refused(
                OLD,
                SaveOptions.DEFAULT.with(Engine.QEMU_DIRECT),
                "QEMU 10.0.2 lacks mapped-ram: the engine qemu-direct needs QEMU 9.0 or newer");
        refused(
                NEW,
                SaveOptions.DEFAULT.with(Engine.QEMU_DIRECT).with(ZSTD),
                "the engine qemu-direct cannot compress: ask for the engine multifd-stream, or for no compression");
        refused(
                OLDEST,
                SaveOptions.DEFAULT.with(ZSTD),
                "QEMU 10.0.2 cannot compress with zstd: it takes QEMU 5.0 or newer");
        refused(
                Vms.withCapabilities(NEW, "xbzrle"),
                SaveOptions.DEFAULT,
                "QEMU 10.0.2 lacks multifd: the engine multifd-stream needs QEMU 4.0 or newer");
    }

    @Test
    void streamsAreHeldToTheSameLimits() throws TorporException {
        SaveOptions streams = SaveOptions.DEFAULT.with(Engine.MULTIFD_STREAM);
        SaveOptions many = new SaveOptions(OptionalInt.of(33), DirectIO.AUTO, 0).with(Engine.MULTIFD_STREAM);
        assertThat(reason(NEW, many, ROOMY)).isEqualTo(FailureReason.ChannelsOutOfRange);
        // What is around the pages comes on top.
        long needed = Vms.RAM_BYTES + Vms.RAM_BYTES / 256 + (64L << 20);
        assertThat(reason(NEW, streams, new StoreFacts(needed - 1, true))).isEqualTo(FailureReason.NotEnoughSpace);
        assertThat(Engines.plan(NEW, streams, new StoreFacts(needed, true)).memoryBytes())
                .isEqualTo(Vms.RAM_BYTES);
        assertThat(reason(Vms.withDescriptorsLeft(NEW, OptionalLong.of(18)), streams, ROOMY))
                .isEqualTo(FailureReason.DescriptorLimit);
        assertThat(reason(Vms.withBlockedReasons(NEW, "no"), streams, ROOMY)).isEqualTo(FailureReason.MigrationBlocked);
        SaveOptions direct = new SaveOptions(OptionalInt.empty(), DirectIO.REQUIRED, 0).with(Engine.MULTIFD_STREAM);
        assertThat(reason(NEW, direct, new StoreFacts(1L << 40, false))).isEqualTo(FailureReason.DirectIOUnsupported);
    }

    private static FailureReason reason(VmFacts vm, SaveOptions options, StoreFacts store) {
        return catchThrowableOfType(TorporException.class, () -> Engines.plan(vm, options, store))
                .reason();
    }

    private static void refused(VmFacts vm, SaveOptions options, String message) {
        TorporException e = catchThrowableOfType(TorporException.class, () -> Engines.plan(vm, options, ROOMY));
        assertThat(e.reason()).isEqualTo(FailureReason.CapabilityMissing);
        assertThat(e).hasMessage(message);
    }
}
