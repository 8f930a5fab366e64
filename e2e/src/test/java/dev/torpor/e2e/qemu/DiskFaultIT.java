package dev.torpor.e2e.qemu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.engine.DirectIO;
import dev.torpor.agent.engine.Engine;
import dev.torpor.agent.engine.Guest;
import dev.torpor.agent.engine.ProgressListener;
import dev.torpor.agent.engine.SaveOptions;
import dev.torpor.agent.engine.SaveReport;
import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.e2e.disk.FaultyDisk;
import dev.torpor.e2e.disk.FaultyDisk.Fault;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalInt;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The store's disk fails, or hangs, under a real QEMU: the guest runs on, what there is of images is safe, and why is said. */
@Tag("qemu")
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@SuppressWarnings("NullAway.Init")
class DiskFaultIT {
    private static final ProgressListener NOBODY = (_, _) -> {};
    // The guest has some 60 MB that are not zero: a save at this pace is not done before the disk fails.
    private static final long SLOW = 4 << 20;

    // Two seconds of looks: with recorded channels, what QEMU may send meanwhile fills units of each channel, so that
    // their
    // writes are under way.
    private static final int LOOKS_BEFORE_THE_CANCEL = 100;
    private static final int LOOKS_WHILE_IT_HANGS = LOOKS_BEFORE_THE_CANCEL + 25;

    private Path temp;
    private FaultyDisk disk;
    private ImageStore store;
    private Vm vm;
    private Tick first;

    @BeforeAll
    void boot(@TempDir Path folder) throws Exception {
        temp = folder;
        vm = Vm.guest(temp);
        first = vm.process().awaitTick(tick -> tick.number() >= 1);
    }

    @AfterAll
    void end() throws Exception {
        vm.close();
    }

    // A new one each time: of writes that failed, the kernel tells whoever flushes next.
    @BeforeEach
    void mount() throws Exception {
        disk = FaultyDisk.mount(Files.createTempDirectory(temp, "faulty"), 320);
        store = ImageStore.open(disk.path().resolve("store"));
    }

    @AfterEach
    void theGuestRunsOnAndTheDiskIsWellAgain() throws Exception {
        try (FaultyDisk _ = disk;
                ImageStore _ = store) {
            requireAllWell();
        }
    }

    private void requireAllWell() throws Exception {
        assertThat(Guest.runState(vm.qmp()).running()).isTrue();
        assertThat(vm.qmp().execute("query-fdsets")).isEmpty();
        long now = vm.process().lastTick().orElseThrow().number();
        Tick next = vm.process().awaitTick(tick -> tick.number() > now);
        assertThat(next.nonce()).isEqualTo(first.nonce());
        assertThat(next.memoryWrong()).isFalse();
        assertThat(store.list()).isEmpty();
    }

    // Not of a QEMU that writes itself: it may die of that with SIGSEGV (docs/dev/state.md).
    @ParameterizedTest
    @EnumSource(
            value = DirectIO.class,
            names = {"REQUIRED", "OFF"})
    void writesThatFailInTheMiddle(DirectIO directIO) throws Exception {
        Saving saving = Saving.begin(vm, store, options(Engine.MULTIFD_STREAM, directIO, SLOW));
        AtomicBoolean failing = new AtomicBoolean();
        TorporException e = catchThrowableOfType(TorporException.class, () -> {
            SaveReport report = saving.write(new Cancellation(), (done, _) -> {
                if (done > 0 && failing.compareAndSet(false, true)) {
                    fail(Fault.WRITES);
                }
            });
            var _ = saving.commit(report); // what the page cache took is tried to be written here
        });
        assertThat(e.reason()).as(e.getMessage()).isEqualTo(FailureReason.StoreFailed);
        assertThat(e.getMessage()).endsWith(": Input/output error");
        // The guest does not wait for the disk to be put in order.
        Guest.resume(vm.qmp());
        disk.recover();
        saving.abandon();
    }

    @ParameterizedTest
    @EnumSource(Engine.class)
    void aFlushThatFailsIsNoCommit(Engine engine) throws Exception {
        Saving saving = Saving.begin(vm, store, options(engine, DirectIO.AUTO, 0));
        SaveReport report = saving.write(new Cancellation(), NOBODY);
        disk.fail(Fault.NEXT_FLUSH);
        TorporException e = catchThrowableOfType(TorporException.class, () -> saving.commit(report));
        assertThat(e.reason()).isEqualTo(FailureReason.StoreFailed);
        assertThat(e).hasMessage("image " + saving.id() + " cannot be committed: Input/output error");
        assertThat(store.state(saving.id())).contains(new ImageState.Partial());
        Guest.resume(vm.qmp());
        disk.recover();
        saving.abandon();
    }

    @ParameterizedTest
    @EnumSource(Engine.class)
    void readsThatFailHarmNoImage(Engine engine) throws Exception {
        CommittedImage image = Saving.save(vm, store, options(engine, DirectIO.AUTO, 0));
        Guest.resume(vm.qmp());
        disk.forgetPages();
        var _ = store.open(image.id()); // headers, and what leads to them
        disk.fail(Fault.READS);
        TorporException e = catchThrowableOfType(TorporException.class, () -> store.verify(image.id(), (_, _) -> {}));
        assertThat(e.reason()).as(e.getMessage()).isEqualTo(FailureReason.ImageDamaged);
        assertThat(e).hasMessageStartingWith("the disk cannot read ");
        assertThat(store.state(image.id())).contains(new ImageState.Complete());
        aLoadThatCannotReadSaysSo(image);
        disk.recover();
        assertThat(store.verify(image.id(), (_, _) -> {})).isTrue();
        try (Vm restored = Vm.incomingGuest(temp)) {
            Saving.load(restored, store.open(image.id()), store.directIO());
            Guest.resume(restored.qmp());
            assertThat(restored.process().awaitTick(tick -> true).nonce()).isEqualTo(first.nonce());
        }
        store.delete(image.id());
    }

    @ParameterizedTest
    @EnumSource(Engine.class)
    void aDiskThatHangsIsWaitedForAndTheGuestRunsOnThen(Engine engine) throws Exception {
        Saving saving = Saving.begin(vm, store, options(engine, DirectIO.AUTO, SLOW));
        Cancellation cancellation = new Cancellation();
        AtomicBoolean hung = new AtomicBoolean();
        AtomicInteger count = new AtomicInteger();
        CountDownLatch looks = new CountDownLatch(LOOKS_WHILE_IT_HANGS);
        try (ExecutorService worker = Executors.newSingleThreadExecutor()) {
            Future<SaveReport> save = worker.submit(() -> saving.write(cancellation, (done, _) -> {
                if (hung.get()) {
                    looks.countDown();
                    if (count.incrementAndGet() == LOOKS_BEFORE_THE_CANCEL) {
                        cancellation.request(FailureReason.DeadlineExceeded, "too late");
                    }
                } else if (done > 0) {
                    hang();
                    hung.set(true);
                }
            }));
            // Its monitor answers meanwhile. That it is not at its end then, whatever is wished for, is the disk's
            // doing.
            try {
                assertThat(looks.await(1, TimeUnit.MINUTES)).isTrue();
                assertThat(save.isDone()).isFalse();
            } finally {
                disk.goOn();
            }
            ExecutionException e = catchThrowableOfType(ExecutionException.class, save::get);
            assertThat(e.getCause()).isInstanceOfSatisfying(TorporException.class, why -> assertThat(why.reason())
                    .isEqualTo(FailureReason.DeadlineExceeded));
        }
        saving.abandon();
        Guest.resume(vm.qmp());
    }

    private void aLoadThatCannotReadSaysSo(CommittedImage image) throws Exception {
        try (Vm target = Vm.incomingGuest(temp)) {
            TorporException load =
                    catchThrowableOfType(TorporException.class, () -> Saving.load(target, image, store.directIO()));
            assertThat(load.reason())
                    .as(load.getMessage())
                    .isIn(FailureReason.LoadFailed, FailureReason.ImageDamaged, FailureReason.QEMUGone);
            assertThat(target.process().lastTick()).isEmpty();
        }
    }

    private void hang() {
        try {
            disk.hang();
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    private void fail(Fault fault) {
        try {
            disk.fail(fault);
        } catch (TorporException e) {
            throw new IllegalStateException(e);
        }
    }

    private static SaveOptions options(Engine engine, DirectIO directIO, long bandwidth) {
        return new SaveOptions(OptionalInt.of(2), directIO, bandwidth).with(engine);
    }
}
