package dev.torpor.e2e.qemu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.engine.DirectIO;
import dev.torpor.agent.engine.Engine;
import dev.torpor.agent.engine.Guest;
import dev.torpor.agent.engine.ProgressListener;
import dev.torpor.agent.engine.QemuDirectEngine.StoreFacts;
import dev.torpor.agent.engine.SaveOptions;
import dev.torpor.agent.engine.SaveReport;
import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.e2e.cluster.Teardown;
import dev.torpor.e2e.disk.ExportedDisk;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalInt;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * A store on a btrfs that is well, and may not be written to any more: by a quota, or as it is read-only. Quotas of ext4 are not
 * in every kernel, and do not hold for root.
 */
@Tag("qemu")
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@SuppressWarnings("NullAway.Init")
class StoreLimitsIT {
    private static final ProgressListener NOBODY = (_, _) -> {};
    private static final int DISK_MIB = 512;
    /** The guest has some 60 MB that are not zero. */
    private static final String QUOTA = "24M";

    private static final long PLENTY_BYTES = 1L << 40;

    private Path temp;
    private Path mounted;
    private Path subvolume;
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

    @BeforeEach
    void mount() throws Exception {
        Path disk = Files.createTempFile(temp, "btrfs", "");
        Files.delete(disk);
        ExportedDisk.sparse(disk, (long) DISK_MIB << 20);
        ExportedDisk.run("mkfs.btrfs", "-q", disk.toString());
        mounted = Files.createTempDirectory(temp, "mounted");
        ExportedDisk.run("mount", "-o", "loop", disk.toString(), mounted.toString());
        // A subvolume may be made read-only while its files are open, which a mount may not.
        subvolume = mounted.resolve("store");
        ExportedDisk.run("btrfs", "subvolume", "create", subvolume.toString());
        store = ImageStore.open(subvolume);
    }

    @AfterEach
    void theGuestRunsOnAndNothingIsLeft() throws Exception {
        try (Teardown after = new Teardown("file system of a test");
                ImageStore open = store) {
            after.add(() -> ExportedDisk.run("umount", mounted.toString()));
            assertThat(Guest.runState(vm.qmp()).running()).isTrue();
            assertThat(vm.qmp().execute("query-fdsets")).isEmpty();
            long now = vm.process().lastTick().orElseThrow().number();
            Tick next = vm.process().awaitTick(tick -> tick.number() > now);
            assertThat(next.nonce()).isEqualTo(first.nonce());
            assertThat(next.memoryWrong()).isFalse();
            assertThat(open.list()).isEmpty();
        }
    }

    @ParameterizedTest
    @EnumSource(Engine.class)
    void aQuotaThatIsReachedInTheMiddleIsLikeAFullDisk(Engine engine) throws Exception {
        ExportedDisk.run("btrfs", "quota", "enable", mounted.toString());
        ExportedDisk.run("btrfs", "qgroup", "limit", QUOTA, subvolume.toString());
        // What is free does not tell of a quota: the save is admitted.
        assertThat(store.freeBytes()).isGreaterThan(ImageStore.SPACE_BESIDE_BYTES);
        Saving saving = Saving.begin(vm, store, options(engine), new StoreFacts(PLENTY_BYTES, store.directIO()));
        TorporException e = catchThrowableOfType(TorporException.class, () -> {
            SaveReport report = saving.write(new Cancellation(), NOBODY);
            var _ = saving.commit(report); // what the page cache took is counted here
        });
        assertThat(e.reason()).as(e.getMessage()).isEqualTo(FailureReason.NotEnoughSpace);
        assertThat(e.getMessage()).endsWith("Disk quota exceeded");
        Guest.resume(vm.qmp());
        saving.abandon();

        ExportedDisk.run("btrfs", "qgroup", "limit", "none", subvolume.toString());
        CommittedImage image = Saving.save(vm, store, options(engine));
        Guest.resume(vm.qmp());
        store.delete(image.id());
    }

    @ParameterizedTest
    @EnumSource(Engine.class)
    void aStoreThatIsReadOnlyFromTheStartPausesNobody(Engine engine) throws Exception {
        var _ = store.directIO(); // which is tried once, by writing
        readOnly(true);
        TorporException e = catchThrowableOfType(TorporException.class, () -> Saving.begin(vm, store, options(engine)));
        assertThat(e.reason()).as(e.getMessage()).isEqualTo(FailureReason.StoreFailed);
        assertThat(e.getMessage()).endsWith("Read-only file system");
        assertThat(Guest.runState(vm.qmp()).running()).isTrue();
        readOnly(false);
        assertThat(store.list()).isEmpty();
    }

    @ParameterizedTest
    @EnumSource(Engine.class)
    void oneThatBecomesReadOnlyBeforeTheCommitCommitsNothing(Engine engine) throws Exception {
        Saving saving = Saving.begin(vm, store, options(engine));
        SaveReport report = saving.write(new Cancellation(), NOBODY);
        readOnly(true);
        TorporException e = catchThrowableOfType(TorporException.class, () -> saving.commit(report));
        assertThat(e.reason()).as(e.getMessage()).isEqualTo(FailureReason.StoreFailed);
        assertThat(e.getMessage()).endsWith("Read-only file system");
        assertThat(store.state(saving.id())).contains(new ImageState.Partial());
        Guest.resume(vm.qmp());
        TorporException undo = catchThrowableOfType(TorporException.class, saving::abandon);
        assertThat(undo.reason()).isEqualTo(FailureReason.StoreFailed);
        readOnly(false);
        saving.abandon();
    }

    private void readOnly(boolean is) throws IOException {
        ExportedDisk.run("btrfs", "property", "set", subvolume.toString(), "ro", Boolean.toString(is));
    }

    private static SaveOptions options(Engine engine) {
        return new SaveOptions(OptionalInt.of(2), DirectIO.AUTO, 0).with(engine);
    }
}
