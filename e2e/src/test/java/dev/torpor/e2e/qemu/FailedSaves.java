package dev.torpor.e2e.qemu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.engine.DirectIO;
import dev.torpor.agent.engine.Engine;
import dev.torpor.agent.engine.Guest;
import dev.torpor.agent.engine.ProgressListener;
import dev.torpor.agent.engine.QemuDirectEngine;
import dev.torpor.agent.engine.QemuDirectEngine.StoreFacts;
import dev.torpor.agent.engine.QemuProbe;
import dev.torpor.agent.engine.SaveOptions;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.linux.Proc;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpLimits;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.OptionalInt;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Saves that do not come to a good end: whatever the reason, the guest runs on, and nothing is left in the store. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@SuppressWarnings("NullAway.Init")
abstract class FailedSaves {
    // The guest has some 60 MB that are not zero: a save at this pace takes far longer than any of these tests waits.
    private static final SaveOptions SLOW = new SaveOptions(OptionalInt.of(4), DirectIO.AUTO, 1 << 20);
    private static final Pattern ENDED = Pattern.compile("completed|failed|cancelled");
    private static final long PLENTY_BYTES = 1L << 40;

    private final Engine engine;

    private Path temp;
    private ImageStore store;
    private Vm vm;
    private Tick first;

    FailedSaves(Engine engine) {
        this.engine = engine;
    }

    @BeforeAll
    void boot(@TempDir Path folder) throws Exception {
        temp = folder;
        store = ImageStore.open(temp.resolve("store"));
        vm = Vm.guest(temp);
        first = vm.process().awaitTick(tick -> tick.number() >= 1);
    }

    @AfterAll
    void end() throws TorporException {
        vm.close();
        store.close();
    }

    @AfterEach
    void theGuestRunsOnAndNothingIsLeft() throws Exception {
        assertThat(Guest.runState(vm.qmp()).running()).isTrue();
        assertThat(vm.qmp().execute("query-fdsets")).isEmpty();
        long now = vm.process().lastTick().orElseThrow().number();
        Tick next = vm.process().awaitTick(tick -> tick.number() > now);
        assertThat(next.nonce()).isEqualTo(first.nonce());
        assertThat(next.memoryWrong()).isFalse();
        assertThat(store.list()).isEmpty();
    }

    @ParameterizedTest
    @EnumSource(
            value = FailureReason.class,
            names = {"Cancelled", "DeadlineExceeded"})
    void aWishToEndInTheMiddleOfASaveThatIsHeldBack(FailureReason why) throws Exception {
        Saving saving = Saving.begin(vm, store, SLOW.with(engine));
        Cancellation cancellation = new Cancellation();
        AtomicLong leftBytes = new AtomicLong();
        TorporException e = failure(saving, cancellation, (doneBytes, totalBytes) -> {
            if (doneBytes > 0 && !cancellation.requested()) {
                leftBytes.set(totalBytes - doneBytes);
                cancellation.request(why, "that's enough");
            }
        });

        assertThat(e.reason()).isEqualTo(why);
        assertThat(e).hasMessage("that's enough");
        assertThat(leftBytes).as("bytes that were left when the wish came").hasPositiveValue();
        // Not by migrate_cancel, which would be the state "cancelled": QEMU wrote all of it.
        assertThat(vm.qmp().execute("query-migrate").path("status").asText()).isEqualTo("completed");
        endOf(saving);
    }

    /** Whoever else is at its monitor, or pod: what QEMU saved is not what the guest is now, nor its disks. */
    @Test
    void somebodyElseLetsTheGuestRunBeforeTheSaveIsOver() throws Exception {
        Saving saving = Saving.begin(vm, store, SaveOptions.DEFAULT.with(engine));
        AtomicInteger continued = new AtomicInteger();
        TorporException e = failure(saving, new Cancellation(), (_, _) -> {
            try {
                if (status(vm.qmp()).equals("completed")) {
                    // It says so a moment before it lets the guest run.
                    await().pollInSameThread().until(() -> !"finish-migrate"
                            .equals(vm.qmp()
                                    .execute("query-status")
                                    .path("status")
                                    .asText()));
                    Guest.resume(vm.qmp());
                    continued.incrementAndGet();
                }
            } catch (TorporException broken) {
                throw new IllegalStateException(broken);
            }
        });
        assertThat(continued).as("it may be looked at again after the end").hasPositiveValue();
        assertThat(e.reason()).isEqualTo(FailureReason.SaveFailed);
        assertThat(e).hasMessage("somebody else let the guest run during the save: the image is of no moment");
        endOf(saving);
    }

    @Test
    void aDiskThatFillsUpInTheMiddle() throws Exception {
        try (MountedFolder disk = MountedFolder.tmpfs(temp.resolve("small"), 24);
                ImageStore small = ImageStore.open(disk.path())) {
            for (DirectIO directIO : new DirectIO[] {DirectIO.OFF, DirectIO.REQUIRED}) {
                // There seemed to be room when the save was planned.
                Saving saving =
                        Saving.begin(vm, small, options(4, directIO), new StoreFacts(PLENTY_BYTES, small.directIO()));
                TorporException e = failure(saving, new Cancellation(), (_, _) -> {});
                assertThat(e.reason()).isEqualTo(FailureReason.NotEnoughSpace);
                switch (engine) {
                    case QEMU_DIRECT ->
                        assertThat(e)
                                .hasMessage("QEMU could not save: Unable to write to file: No space left on device");
                    case MULTIFD_STREAM -> {
                        assertThat(e).hasMessage("the image cannot be written: No space left on device");
                        // Nobody hung up on QEMU.
                        assertThat(status(vm.qmp())).isEqualTo("completed");
                    }
                }
                endOf(saving);
                assertThat(small.list()).isEmpty();
                assertThat(small.freeBytes()).isGreaterThan(20L << 20);
            }
        }
    }

    @Test
    void aDiskThatIsTooSmallIsSeenBefore() throws Exception {
        try (MountedFolder disk = MountedFolder.tmpfs(temp.resolve("tiny"), 24);
                ImageStore small = ImageStore.open(disk.path())) {
            TorporException e = catchThrowableOfType(
                    TorporException.class, () -> Saving.begin(vm, small, SaveOptions.DEFAULT.with(engine)));
            assertThat(e.reason()).isEqualTo(FailureReason.NotEnoughSpace);
            assertThat(e)
                    .hasMessageMatching("the image may need [0-9]+ bytes and the store has [0-9]+ free: "
                            + "delete images that are no longer needed, or enlarge the store");
            assertThat(small.list()).isEmpty();
        }
    }

    @Test
    void aFileSystemWithoutDirectIO() throws Exception {
        try (MountedFolder disk = MountedFolder.ramfs(temp.resolve("ramfs"));
                ImageStore ramfs = ImageStore.open(disk.path())) {
            assertThat(ramfs.directIO()).isFalse();
            StoreFacts facts = new StoreFacts(PLENTY_BYTES, ramfs.directIO());

            TorporException e = catchThrowableOfType(
                    TorporException.class, () -> Saving.begin(vm, ramfs, options(2, DirectIO.REQUIRED), facts));
            assertThat(e.reason()).isEqualTo(FailureReason.DirectIOUnsupported);

            Saving saving = Saving.begin(vm, ramfs, options(2, DirectIO.AUTO), facts);
            assertThat(saving.plan().directIO()).isFalse();
            var image = saving.commit(saving.write(new Cancellation(), (_, _) -> {}));
            Guest.resume(vm.qmp());
            assertThat(image.header().directIO()).isFalse();
            try (Vm restored = Vm.incomingGuest(temp)) {
                Saving.load(restored, image, false);
                Guest.resume(restored.qmp());
                assertThat(restored.process().awaitTick(_ -> true).nonce()).isEqualTo(first.nonce());
            }
        }
    }

    @Test
    void aGuestThatWasSavedWhilePausedAndHasNotRunSince() throws Exception {
        try (ImageStore other = ImageStore.open(temp.resolve("paused"))) {
            Guest.pause(vm.qmp());
            Saving.save(vm, other, engine);
            TorporException e = catchThrowableOfType(
                    TorporException.class, () -> Saving.begin(vm, other, SaveOptions.DEFAULT.with(engine)));
            assertThat(e.reason()).isEqualTo(FailureReason.MigrationBlocked);
            assertThat(e).hasMessageEndingWith("use the image that there is, or let the guest run");
        } finally {
            Guest.resume(vm.qmp());
        }
    }

    @Test
    void tmpfsHasDirectIO() throws Exception {
        try (MountedFolder disk = MountedFolder.tmpfs(temp.resolve("tmpfs"), 8);
                ImageStore tmpfs = ImageStore.open(disk.path())) {
            assertThat(tmpfs.directIO()).isTrue();
        }
    }

    @ParameterizedTest
    @CsvSource({"0", "256"})
    void channelsOutOfRange(int channels) throws Exception {
        TorporException e = catchThrowableOfType(
                TorporException.class, () -> Saving.begin(vm, store, options(channels, DirectIO.AUTO)));
        assertThat(e.reason()).isEqualTo(FailureReason.ChannelsOutOfRange);
    }

    @Test
    void tooFewDescriptorsLeft() throws Exception {
        int pid = vm.process().pid();
        long limit = Proc.openFilesLimit(pid);
        limitOpenFiles(pid, Proc.openFiles(pid) + 20);
        try {
            TorporException e = catchThrowableOfType(
                    TorporException.class, () -> Saving.begin(vm, store, options(8, DirectIO.AUTO)));
            assertThat(e.reason()).isEqualTo(FailureReason.DescriptorLimit);
        } finally {
            limitOpenFiles(pid, limit);
        }
    }

    @Test
    void qemuKilledInTheMiddle() throws Exception {
        try (Vm victim = Vm.guest(temp)) {
            victim.process().awaitTick(tick -> tick.number() >= 1);
            Saving saving = Saving.begin(victim, store, SLOW.with(engine));
            TorporException e = failure(
                    saving, new Cancellation(), (_, _) -> victim.process().kill());
            assertThat(e.reason()).isEqualTo(FailureReason.QEMUGone);
            saving.abandon();
        }
    }

    @Test
    void anAgentThatComesBackInTheMiddleSettlesTheSave() throws Exception {
        try (Vm other = Vm.guest(temp)) {
            Tick before = other.process().awaitTick(tick -> tick.number() >= 1);
            JsonNode parameters = other.qmp().execute("query-migrate-parameters");
            JsonNode capabilities = other.qmp().execute("query-migrate-capabilities");
            Saving saving = Saving.begin(other, store, SLOW.with(engine));
            // Nothing is put in order, as after a crash.
            assertThatThrownBy(() -> saving.write(new Cancellation(), (_, _) -> {
                        throw new IllegalStateException("crash");
                    }))
                    .hasMessage("crash");
            other.qmp().close();

            try (QmpClient qmp = QmpClient.connect(other.process().socket(), QmpLimits.DEFAULT)) {
                if (engine == Engine.QEMU_DIRECT) { // the other's may have noticed by now
                    assertThat(status(qmp)).isEqualTo("active");
                }
                QemuDirectEngine.settle(qmp);
                switch (engine) {
                    case QEMU_DIRECT -> assertThat(status(qmp)).isEqualTo("completed");
                    // Nobody took its streams any more.
                    case MULTIFD_STREAM ->
                        assertThat(status(qmp)).matches(ENDED).isNotEqualTo("completed");
                }
                assertThat(qmp.execute("query-fdsets")).isEmpty();
                assertThat(qmp.execute("query-migrate-parameters")).isEqualTo(parameters);
                assertThat(qmp.execute("query-migrate-capabilities")).isEqualTo(capabilities);
                saving.abandon();
                Guest.resume(qmp);
            }
            assertThat(other.process()
                            .awaitTick(tick -> tick.number() > before.number() + 1)
                            .nonce())
                    .isEqualTo(before.nonce());
        }
    }

    @Test
    void aDeviceThatBlocksIsNamedBeforeTheGuestIsStopped() throws Exception {
        try (Vm blocked = Vm.bare(
                temp, 64, "-drive", "if=none,id=disk,driver=null-co,size=1M", "-device", "nvme,drive=disk,serial=1")) {
            TorporException e = catchThrowableOfType(
                    TorporException.class, () -> Saving.begin(blocked, store, SaveOptions.DEFAULT.with(engine)));
            assertThat(e.reason()).isEqualTo(FailureReason.MigrationBlocked);
            assertThat(e)
                    .hasMessage("QEMU cannot save this VM: non-migratable device: 0000:00:01.0/nvme: "
                            + "remove the device, or have the guest let go of it");
            assertThat(Guest.runState(blocked.qmp()).running()).isTrue();
            assertThat(QemuProbe.probe(blocked.qmp()).runState().running()).isTrue();
        }
    }

    private SaveOptions options(int channels, DirectIO directIO) {
        return Saving.options(channels, directIO).with(engine);
    }

    private static String status(QmpClient qmp) throws TorporException {
        return qmp.execute("query-migrate").path("status").asText();
    }

    private static TorporException failure(Saving saving, Cancellation cancellation, ProgressListener listener) {
        return catchThrowableOfType(TorporException.class, () -> saving.write(cancellation, listener));
    }

    private void endOf(Saving saving) throws TorporException {
        saving.abandon();
        Guest.resume(vm.qmp());
    }

    private static void limitOpenFiles(int pid, long soft) throws IOException {
        Process process = new ProcessBuilder("prlimit", "--pid", Integer.toString(pid), "--nofile=" + soft + ":")
                .inheritIO()
                .start();
        assertThat(process.onExit().join().exitValue()).isZero();
    }
}
