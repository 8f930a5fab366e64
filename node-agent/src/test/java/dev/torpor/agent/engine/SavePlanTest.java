package dev.torpor.agent.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.torpor.agent.engine.QemuDirectEngine.StoreFacts;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What a save decides, and refuses, before it touches anything. */
class SavePlanTest {
    private static final StoreFacts ROOMY = new StoreFacts(1L << 40, true);
    private static final StoreFacts NO_DIRECT_IO = new StoreFacts(1L << 40, false);

    @Test
    void everythingChosen() throws TorporException {
        SavePlan plan = QemuDirectEngine.plan(Vms.RUNNING, SaveOptions.DEFAULT, ROOMY);
        assertThat(plan.channels()).isBetween(2, 4);
        assertThat(plan.directIO()).isTrue();
        assertThat(plan.bandwidthBytesPerSecondMax()).isZero();
        assertThat(plan.memoryBytes()).isEqualTo(Vms.RAM_BYTES);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 8, 255})
    void everythingGiven(int channels) throws TorporException {
        SaveOptions options = new SaveOptions(OptionalInt.of(channels), DirectIO.OFF, 5_000_000);
        assertThat(QemuDirectEngine.plan(Vms.RUNNING, options, ROOMY))
                .isEqualTo(new SavePlan(channels, false, 5_000_000, Vms.RAM_BYTES));
    }

    @Test
    void qemuWithoutMappedRam() {
        refused(
                Vms.withCapabilities(Vms.RUNNING, "multifd"),
                SaveOptions.DEFAULT,
                ROOMY,
                FailureReason.CapabilityMissing,
                "QEMU 10.0.2 lacks mapped-ram: the engine qemu-direct needs QEMU 9.0 or newer");
    }

    @Test
    void qemuWithNeither() {
        VmFacts vm = Vms.withCapabilities(Vms.RUNNING);
        TorporException e = catchThrowableOfType(
                TorporException.class, () -> QemuDirectEngine.plan(vm, SaveOptions.DEFAULT, ROOMY));
        assertThat(e.reason()).isEqualTo(FailureReason.CapabilityMissing);
        assertThat(e).hasMessageContaining("mapped-ram").hasMessageContaining("multifd");
    }

    @Test
    void deviceThatBlocks() {
        refused(
                Vms.withBlockedReasons(Vms.RUNNING, "non-migratable device: 0000:00:02.0/nvme", "peer mode"),
                SaveOptions.DEFAULT,
                ROOMY,
                FailureReason.MigrationBlocked,
                "QEMU cannot save this VM: non-migratable device: 0000:00:02.0/nvme; peer mode: "
                        + "remove the device, or have the guest let go of it");
    }

    @Test
    void aGuestThatWasSavedWhilePausedAndHasNotRunSince() {
        refused(
                Vms.facts(Vms.DEFINITION, "postmigrate"),
                SaveOptions.DEFAULT,
                ROOMY,
                FailureReason.MigrationBlocked,
                "the guest was paused by its owner when it was saved last, and QEMU saves it again only after it has"
                        + " run: use the image that there is, or let the guest run");
    }

    @ParameterizedTest
    @ValueSource(ints = {-1, 0, 256})
    void channelsOutOfRange(int channels) {
        refused(
                Vms.RUNNING,
                new SaveOptions(OptionalInt.of(channels), DirectIO.AUTO, 0),
                ROOMY,
                FailureReason.ChannelsOutOfRange,
                channels + " channels were asked for: give a number from 1 to 255");
    }

    @Test
    void tooFewDescriptorsLeft() {
        refused(
                Vms.withDescriptorsLeft(Vms.RUNNING, OptionalLong.of(23)),
                new SaveOptions(OptionalInt.of(8), DirectIO.AUTO, 0),
                ROOMY,
                FailureReason.DescriptorLimit,
                "8 channels need 24 descriptors and QEMU may open 23 more: "
                        + "give fewer channels or raise the container's limit of open files");
    }

    @Test
    void justEnoughDescriptorsLeft() throws TorporException {
        VmFacts vm = Vms.withDescriptorsLeft(Vms.RUNNING, OptionalLong.of(24));
        SaveOptions options = new SaveOptions(OptionalInt.of(8), DirectIO.AUTO, 0);
        assertThat(QemuDirectEngine.plan(vm, options, ROOMY).channels()).isEqualTo(8);
    }

    @Test
    void unknownDescriptorsAreNoReasonToRefuse() throws TorporException {
        VmFacts vm = Vms.withDescriptorsLeft(Vms.RUNNING, OptionalLong.empty());
        SaveOptions options = new SaveOptions(OptionalInt.of(255), DirectIO.AUTO, 0);
        assertThat(QemuDirectEngine.plan(vm, options, ROOMY).channels()).isEqualTo(255);
    }

    @Test
    void directIORequiredOfAStoreWithoutIt() {
        refused(
                Vms.RUNNING,
                new SaveOptions(OptionalInt.empty(), DirectIO.REQUIRED, 0),
                NO_DIRECT_IO,
                FailureReason.DirectIOUnsupported,
                "direct I/O was required and the store's file system does not have it: "
                        + "leave directIO out to save through the page cache");
    }

    @Test
    void directIORequiredOfAQemuWithoutIt() {
        refused(
                Vms.withParameters(Vms.RUNNING, "multifd-channels", "max-bandwidth"),
                new SaveOptions(OptionalInt.empty(), DirectIO.REQUIRED, 0),
                ROOMY,
                FailureReason.DirectIOUnsupported,
                "direct I/O was required and this QEMU does not have it: "
                        + "leave directIO out to save through the page cache");
    }

    @ParameterizedTest
    @CsvSource({
        "AUTO, true, true, true",
        "AUTO, false, true, false",
        "AUTO, true, false, false",
        "OFF, true, true, false",
        "REQUIRED, true, true, true"
    })
    void directIOWhereBothHaveIt(DirectIO wanted, boolean store, boolean qemu, boolean used) throws TorporException {
        VmFacts vm = qemu ? Vms.RUNNING : Vms.withParameters(Vms.RUNNING, "multifd-channels", "max-bandwidth");
        SaveOptions options = new SaveOptions(OptionalInt.empty(), wanted, 0);
        assertThat(QemuDirectEngine.plan(vm, options, store ? ROOMY : NO_DIRECT_IO)
                        .directIO())
                .isEqualTo(used);
    }

    @Test
    void oneByteTooFew() throws TorporException {
        long neededBytes = (256L << 20) + (64L << 20);
        refused(
                Vms.RUNNING,
                SaveOptions.DEFAULT,
                new StoreFacts(neededBytes - 1, true),
                FailureReason.NotEnoughSpace,
                "the image may need 335544320 bytes and the store has 335544319 free: "
                        + "delete images that are no longer needed, or enlarge the store");
        assertThat(QemuDirectEngine.plan(Vms.RUNNING, SaveOptions.DEFAULT, new StoreFacts(neededBytes, true)))
                .isNotNull();
    }

    private static void refused(
            VmFacts vm, SaveOptions options, StoreFacts store, FailureReason reason, String message) {
        TorporException e =
                catchThrowableOfType(TorporException.class, () -> QemuDirectEngine.plan(vm, options, store));
        assertThat(e).hasMessage(message);
        assertThat(e.reason()).isEqualTo(reason);
    }
}
