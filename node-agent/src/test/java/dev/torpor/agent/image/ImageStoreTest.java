package dev.torpor.agent.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.torpor.agent.linux.Access;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.Directory;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** On the real file system. */
class ImageStoreTest {
    private static final ImageId ID = SampleStream.ID;
    private static final PartialIntent INTENT = new PartialIntent(
            ImageMode.SAVE,
            7,
            true,
            Optional.of(new ProcessIdentity("pod", "container", "boot", 42, 4711)),
            Instant.parse("2026-01-02T03:04:05Z"));
    private static final ImageState HANDED_OVER =
            new ImageState.HandedOver(new ProcessIdentity("pod-2", "container-2", "boot", 43, 4712));

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @SuppressWarnings("NullAway.Init")
    private ImageStore store;

    private final SampleStream sample = new SampleStream();
    private final List<Step> steps = new ArrayList<>();
    private @Nullable Step failAfter;

    @BeforeEach
    void open() throws TorporException {
        store = ImageStore.open(temp.resolve("store"), step -> {
            steps.add(step);
            if (step == failAfter) {
                throw new IOException("injected");
            }
        });
    }

    @AfterEach
    void close() throws TorporException {
        store.close();
    }

    private Path file() {
        return temp.resolve("store").resolve(ID.relativePath());
    }

    private PartialImage written() throws TorporException {
        PartialImage partial = store.create(ID, INTENT);
        sample.compose().writeTo(file());
        return partial;
    }

    private CommittedImage committed() throws TorporException {
        return written().commit(sample.header(), sample.pages());
    }

    private static void refuses(FailureReason reason, String message, ThrowingCallable call) {
        assertThatThrownBy(call)
                .isInstanceOfSatisfying(
                        TorporException.class, e -> assertThat(e.reason()).isEqualTo(reason))
                .hasMessage(message);
    }

    private void patch(long offset, byte... bytes) throws IOException {
        try (FileChannel channel = FileChannel.open(file(), StandardOpenOption.WRITE)) {
            channel.write(ByteBuffer.wrap(bytes), offset);
        }
    }

    @Test
    void committedImageIsOpenedAgain() throws TorporException {
        committed();
        CommittedImage image = store.open(ID);
        assertThat(image.header()).isEqualTo(sample.header());
        assertThat(image.layout().presentPages()).isEqualTo(4);
        assertThat(image.sizeBytes()).isEqualTo(sample.compose().sizeBytes());
        assertThat(image.allocatedBytes()).isBetween(1L, image.sizeBytes());
        assertThat(store.state(ID)).contains(new ImageState.Complete());
        assertThat(store.record(ID).orElseThrow().intent()).isEqualTo(INTENT);
        assertThat(image.verify((_, _) -> {})).isEqualTo(new PageCheck(4 * SampleStream.PAGE, false));
    }

    @Test
    void whoWaitsForAStoreMakesNoneWhereTheDiskIsNotMounted() throws TorporException, IOException {
        Path disk = temp.resolve("disk");
        assertThat(ImageStore.openExisting(disk)).as("no mount point").isEmpty();
        assertThat(disk).doesNotExist();
        // As the kubelet makes it for a pod that mounts its VM's folder.
        Files.createDirectories(disk.resolve("images/vms/web"));
        assertThat(ImageStore.openExisting(disk)).isEmpty();
        assertThat(disk.toFile().list()).containsExactly("images");
    }

    @Test
    void anEmptyDiskGetsItsStoreOnRequestAndOnce() throws TorporException, IOException {
        Path disk = Files.createDirectory(temp.resolve("disk"));
        Files.createFile(disk.resolve("create-store"));
        String made;
        try (ImageStore opened = ImageStore.openExisting(disk).orElseThrow()) {
            made = opened.storeID();
        }
        try (ImageStore opened = ImageStore.openExisting(disk).orElseThrow()) {
            assertThat(opened.storeID()).isEqualTo(made);
        }
        Files.delete(disk.resolve("store.json"));
        assertThat(ImageStore.openExisting(disk)).as("the request was answered").isEmpty();
    }

    @Test
    void aStoreOfAnotherOwnerIsNotWaitedFor() {
        refuses(
                FailureReason.StoreFailed,
                "the image store belongs to another process, an agent for example: stop it, or use another store",
                () -> ImageStore.openExisting(temp.resolve("store")));
    }

    @Test
    void stepsComeInTheirOrder() throws TorporException {
        committed();
        assertThat(steps).containsExactly(Step.values());
    }

    @Test
    void filesAndDirectoriesArePrivate() throws TorporException, IOException {
        committed();
        try (var paths = Files.walk(temp.resolve("store"))) {
            for (Path path : (Iterable<Path>) paths::iterator) {
                assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(path)))
                        .isEqualTo(Files.isDirectory(path) ? "rwx------" : "rw-------");
            }
        }
    }

    @Test
    void qemuGetsDescriptorsOfItsOwnWithExactlyTheAccessItNeeds() throws TorporException, IOException {
        assertThat(store.directIO()).isTrue();
        PartialImage partial = written();
        try (ImageFiles files = partial.openForQemu(true)) {
            assertThat(files.all()).hasSize(2);
            assertThat(files.buffered().flags().writeOnly()).isTrue();
            assertThat(files.buffered().flags().direct()).isFalse();
            Descriptor direct = files.direct().orElseThrow();
            assertThat(direct.flags().writeOnly()).isTrue();
            assertThat(direct.flags().direct()).isTrue();
        }
        CommittedImage image = partial.commit(sample.header(), sample.pages());
        try (ImageFiles files = image.openForQemu(false)) {
            assertThat(files.all()).hasSize(1);
            assertThat(files.buffered().flags().readOnly()).isTrue();
        }
    }

    @Test
    void theShadowHasNoNameOnceItIsOpen() throws TorporException, IOException {
        CommittedImage image = committed();
        Path leftBehind = file().resolveSibling(ID.uid() + ".shadow");
        Files.writeString(leftBehind, "by an agent that died");
        assertThat(store.list()).hasSize(1);
        try (ImageFiles shadow = image.openShadowForQemu(Set.of("pc.ram"))) {
            assertThat(leftBehind).doesNotExist();
            assertThat(shadow.direct()).isEmpty();
            assertThat(shadow.buffered().flags().readOnly()).isTrue();
            assertThat(shadow.buffered().facts().sizeBytes()).isEqualTo(image.sizeBytes());
            assertThat(shadow.buffered().facts().permissions()).isEqualTo(0600);
        }
    }

    @Test
    void aShadowLeftBehindGoesWithItsImage() throws TorporException, IOException {
        committed();
        Path leftBehind = file().resolveSibling(ID.uid() + ".shadow");
        Files.writeString(leftBehind, "by an agent that died");
        store.delete(ID);
        assertThat(leftBehind).doesNotExist();
    }

    @Test
    void anImageThatIsLentIsReadableInItsFolderAlone() throws TorporException, IOException {
        CommittedImage image = committed();
        Path images = temp.resolve("store").resolve("images");
        // As the kubelet makes it, where it comes first.
        Files.setPosixFilePermissions(images, PosixFilePermissions.fromString("rwxr-xr-x"));
        Path plan = file().resolveSibling(ID.planName());
        store.lend(image, Set.of("pc.ram"));
        store.lend(image, Set.of("pc.ram"));
        assertThat(mode(file())).isEqualTo("r--r--r--");
        assertThat(mode(plan)).isEqualTo("r--r--r--");
        // Pages 0, 1 and 300 of 4 KiB, from 2 MiB on.
        assertThat(plan).hasContent("2 2\n");
        assertThat(mode(file().resolveSibling(ID.uid() + ".json"))).isEqualTo("rw-------");
        assertThat(mode(file().resolve("..").normalize())).isEqualTo("rwx--x--x");
        assertThat(mode(images)).isEqualTo("rwx------");
        store.endLoan(ID);
        store.endLoan(ID);
        assertThat(plan).doesNotExist();
        assertThat(mode(file())).isEqualTo("rw-------");
        assertThat(mode(file().resolve("..").normalize())).isEqualTo("rwx------");
        store.delete(ID);
        store.endLoan(ID);
        refuses(
                FailureReason.ImageMissing,
                "there is no image " + ID + " in this store",
                () -> store.lend(image, Set.of()));
    }

    private static String mode(Path path) throws IOException {
        return PosixFilePermissions.toString(Files.getPosixFilePermissions(path));
    }

    @Test
    void roomIsNotPromisedTwice() throws TorporException {
        long freeBytes = store.freeBytes();
        ImageId other = new ImageId("vms", "db", "u2");
        // Others use this disk, too: far from where it would matter.
        try (ImageStore.Room _ = store.reserve(ID, freeBytes / 2)) {
            assertThatThrownBy(() -> store.reserve(other, freeBytes * 3 / 4))
                    .isInstanceOfSatisfying(
                            TorporException.class, e -> assertThat(e.reason()).isEqualTo(FailureReason.NotEnoughSpace))
                    .hasMessageContaining(
                            "saves under way may need " + (freeBytes / 2 + ImageStore.SPACE_BESIDE_BYTES));
            store.reserve(other, freeBytes / 4).close();
        }
        store.reserve(other, freeBytes * 3 / 4).close();
    }

    /** What is written is free no more by itself. */
    @Test
    void whatIsWrittenIsNotSetAsideAnyMore() throws TorporException {
        ImageId other = new ImageId("vms", "db", "u2");
        written();
        long allocatedBytes = store.allocatedBytes(ID);
        assertThat(allocatedBytes).isPositive();
        // Others write to the same disk meanwhile: what is asked for is far from both limits.
        long asideBytes = 512L << 20;
        try (ImageStore.Room _ = store.reserve(ID, asideBytes)) {
            long leftBytes = asideBytes + ImageStore.SPACE_BESIDE_BYTES - allocatedBytes;
            long wantedBytes = store.freeBytes() - ImageStore.SPACE_BESIDE_BYTES - asideBytes / 2;
            assertThatThrownBy(() -> store.reserve(other, wantedBytes))
                    .hasMessageContaining("saves under way may need " + leftBytes + ":");
        }
    }

    @Test
    void writerThatIsLeftIsNoticed() throws TorporException, IOException {
        PartialImage partial = written();
        try (ImageFiles _ = partial.openForQemu(false)) {
            refuses(
                    FailureReason.ImageCheckFailed,
                    "image " + ID + " failed the checks before commit: somebody still has it open for writing",
                    () -> partial.commit(sample.header(), sample.pages()));
        }
        assertThat(store.state(ID)).contains(new ImageState.Partial());
    }

    @Test
    void otherNumberOfPagesThanQemuSaysIsRefused() throws TorporException {
        PartialImage partial = written();
        refuses(
                FailureReason.ImageCheckFailed,
                "image " + ID
                        + " failed the checks before commit: its bitmaps have 4 pages, and QEMU says that it wrote 5",
                () -> partial.commit(sample.header(), 5));
    }

    @Test
    void otherMachineThanQemuSaysIsRefused() throws TorporException {
        ImageHeader header = sample.header();
        sample.machine = "pc-q35-9.9";
        PartialImage partial = written();
        refuses(
                FailureReason.ImageCheckFailed,
                "image " + ID + " failed the checks before commit: it is of a machine pc-q35-9.9, and QEMU says that "
                        + "it is pc-q35-10.0",
                () -> partial.commit(header, 4));
    }

    @Test
    void otherSizeOfRamThanQemuSaysIsRefused() throws TorporException {
        ImageHeader header = sample.header();
        sample.blocks = List.of(new SampleStream.Block("pc.ram", 1 << 20, List.of(0)));
        PartialImage partial = written();
        refuses(
                FailureReason.ImageCheckFailed,
                "image " + ID + " failed the checks before commit: RAM block 'pc.ram' has 1048576 bytes in it, and "
                        + "QEMU says 2097152",
                () -> partial.commit(header, 1));
    }

    @Test
    void streamThatIsCutShortIsRefused() throws TorporException, IOException {
        PartialImage partial = written();
        try (FileChannel channel = FileChannel.open(file(), StandardOpenOption.WRITE)) {
            channel.truncate(channel.size() - 3);
        }
        assertThatThrownBy(() -> partial.commit(sample.header(), sample.pages()))
                .isInstanceOfSatisfying(
                        TorporException.class, e -> assertThat(e.reason()).isEqualTo(FailureReason.ImageCheckFailed))
                .hasMessageContaining("the device state does not end where the file ends");
    }

    /** Whatever step fails: the image is not taken for committed before the last one, and can be abandoned. */
    @ParameterizedTest
    @EnumSource(
            value = Step.class,
            names = {"RECORDED_PARTIAL", "FILE_CREATED"},
            mode = EnumSource.Mode.EXCLUDE)
    void failureAfterAnyStepCanBeAbandoned(Step step) throws TorporException {
        PartialImage partial = written();
        failAfter = step;
        refuses(
                FailureReason.StoreFailed,
                "image " + ID + " cannot be committed: injected",
                () -> partial.commit(sample.header(), sample.pages()));
        ImageState expected = step == Step.RECORDED_COMPLETE ? new ImageState.Complete() : new ImageState.Partial();
        assertThat(store.state(ID)).contains(expected);
        partial.abandon();
        partial.abandon();
        assertThat(file()).doesNotExist();
        assertThat(store.list()).isEmpty();
    }

    /** The same, but the process dies: the next owner of the store finds it. */
    @ParameterizedTest
    @EnumSource(Step.class)
    void crashAfterAnyStepLeavesSomethingThatIsListed(Step step) throws TorporException {
        failAfter = step;
        assertThatThrownBy(this::committed).isInstanceOf(TorporException.class);
        close();
        store = ImageStore.open(temp.resolve("store"));
        assertThat(store.list()).singleElement().satisfies(record -> assertThat(record.intent())
                .isEqualTo(INTENT));
        if (step == Step.RECORDED_COMPLETE) {
            assertThat(store.open(ID).header()).isEqualTo(sample.header());
            assertThat(store.partial(ID)).isEmpty();
        } else {
            refuses(FailureReason.ImageIncomplete, "image " + ID + " was never committed", () -> store.open(ID));
            store.partial(ID).orElseThrow().abandon();
            assertThat(store.list()).isEmpty();
            assertThat(store.state(ID)).isEmpty();
        }
    }

    @Test
    void partialImageIsCommittedByTheNextOwner() throws TorporException {
        written();
        close();
        store = ImageStore.open(temp.resolve("store"));
        store.partial(ID).orElseThrow().commit(sample.header(), sample.pages());
        assertThat(store.state(ID)).contains(new ImageState.Complete());
    }

    @Test
    void imageIsNeverOverwritten() throws TorporException {
        committed();
        refuses(
                FailureReason.StoreFailed,
                "there is an image " + ID + " already; it is not overwritten",
                () -> store.create(ID, INTENT));
    }

    @Test
    void missingImageAndMissingFileAreTold() throws TorporException, IOException {
        refuses(FailureReason.ImageMissing, "there is no image " + ID + " in this store", () -> store.open(ID));
        committed();
        Files.delete(file());
        refuses(FailureReason.ImageMissing, "the image's file is missing", () -> store.open(ID));
    }

    @Test
    void truncatedAndExtendedImagesAreRefused() throws TorporException, IOException {
        long size = committed().sizeBytes();
        try (FileChannel channel = FileChannel.open(file(), StandardOpenOption.WRITE)) {
            channel.truncate(size - 1);
        }
        refuses(
                FailureReason.ImageTruncated,
                "the image has " + (size - 1) + " bytes; " + size + " were committed",
                () -> store.open(ID));
        patch(size, (byte) 0);
        refuses(
                FailureReason.ImageTruncated,
                "the image has " + (size + 1) + " bytes; " + size + " were committed",
                () -> store.open(ID));
    }

    @Test
    void damageIsFoundWhereverItIsExceptInPages() throws TorporException, IOException {
        ImageLayout layout = committed().layout();
        RamBlock ram = layout.blocks().getFirst();
        damaged(60, "the image's header is damaged: its checksum is ");
        // A device state that QEMU would load without noticing.
        damaged(layout.deviceStateOffsetBytes() + 15, "the image is damaged: the checksum of the device state is ");
        damaged(ram.bitmap().offsetBytes() + 9, "the image is damaged: the checksum of the bitmaps is ");
        damaged(ImageHeader.STREAM_OFFSET_BYTES + 22, "the image is damaged: the checksum of the stream's headers is ");
        damaged(ImageHeader.STREAM_OFFSET_BYTES + 1, "the image is damaged: the stream's magic is ");
    }

    private void damaged(long offset, String message) throws IOException, TorporException {
        byte[] old = new byte[1];
        try (FileChannel channel = FileChannel.open(file(), StandardOpenOption.READ)) {
            channel.read(ByteBuffer.wrap(old), offset);
        }
        patch(offset, (byte) (old[0] ^ 1));
        assertThatThrownBy(() -> store.open(ID))
                .isInstanceOfSatisfying(
                        TorporException.class, e -> assertThat(e.reason()).isEqualTo(FailureReason.ImageDamaged))
                .message()
                .startsWith(message);
        patch(offset, old);
        assertThat(store.open(ID).id()).isEqualTo(ID);
    }

    @Test
    void headerOfAnotherCommitIsRefused() throws TorporException, IOException {
        ImageLayout layout = committed().layout();
        ImageHeader good = sample.header();
        ImageHeader other = new ImageHeader(
                good.id(),
                good.mode(),
                good.vm(),
                good.engine(),
                good.channels(),
                good.directIO(),
                good.runNumber() + 1,
                good.wasRunning(),
                good.startedAt(),
                good.completedAt());
        patch(0, HeaderArea.encode(other, layout));
        refuses(
                FailureReason.ImageDamaged,
                "the image is damaged: its header is not the one that was committed",
                () -> store.open(ID));
    }

    @Test
    void damagedRecordIsToldAndDoesNotHideTheOthers() throws TorporException, IOException {
        committed();
        ImageId second = new ImageId("default", "vm2", "two");
        store.create(second, INTENT);
        Files.writeString(file().resolveSibling(ID.recordName()), "{\"formatVersion\":1,");
        assertThatThrownBy(() -> store.open(ID))
                .isInstanceOfSatisfying(
                        TorporException.class, e -> assertThat(e.reason()).isEqualTo(FailureReason.ImageDamaged))
                .message()
                .startsWith("the record of image " + ID + " is damaged: not valid JSON");
        assertThat(store.list()).extracting(ImageRecord::id).containsExactly(second);
        assertThatThrownBy(() -> store.list("default", "vm1")).isInstanceOf(TorporException.class);
    }

    @Test
    void stateGoesItsWayAndNoOther() throws TorporException {
        committed();
        store.transition(ID, new ImageState.Complete());
        store.transition(ID, new ImageState.Verified());
        store.transition(ID, HANDED_OVER);
        assertThat(store.state(ID)).contains(HANDED_OVER);
        assertThatThrownBy(() -> store.transition(ID, new ImageState.Complete()))
                .isInstanceOf(IllegalStateException.class)
                .hasMessage("image " + ID + " is HandedOver and cannot become Complete");
        store.transition(ID, new ImageState.Consumed());
        store.transition(ID, new ImageState.Consumed());
        assertThat(file()).doesNotExist();
        refuses(
                FailureReason.ImageMissing,
                "image " + ID + " was consumed: its VM was resumed from it",
                () -> store.open(ID));
    }

    @Test
    void whatWasPreparedForATransitionIsNeitherInForceNorInTheWayOfAnother() throws Exception {
        committed();
        store.prepareTransition(ID, HANDED_OVER);
        assertThat(store.state(ID)).contains(new ImageState.Complete());
        store.transition(ID, new ImageState.Verified());
        assertThat(store.state(ID)).contains(new ImageState.Verified());
        store.prepareTransition(ID, HANDED_OVER);
        store.transition(ID, HANDED_OVER);
        assertThat(store.state(ID)).contains(HANDED_OVER);
        store.prepareTransition(ID, new ImageState.Consumed());
        store.delete(ID);
        assertThat(file().getParent()).isEmptyDirectory();
    }

    @Test
    void aScanPutsChecksumsBesideTheImageThatFindEachDamagedPage() throws Exception {
        committed();
        assertThat(store.verify(ID, (_, _) -> {})).isTrue();
        assertThat(store.state(ID)).contains(new ImageState.Verified());
        CommittedImage image = store.open(ID);
        assertThat(image.verify((_, _) -> {})).isEqualTo(new PageCheck(4 * SampleStream.PAGE, true));
        RamBlock block = image.layout().blocks().getFirst();
        patch(block.pages().offsetBytes() + 5, (byte) 0x55);
        assertThat(store.open(ID).header()).isEqualTo(image.header());
        assertThatThrownBy(() -> image.verify((_, _) -> {}))
                .isInstanceOfSatisfying(
                        TorporException.class, e -> assertThat(e.reason()).isEqualTo(FailureReason.ImageDamaged))
                .hasMessageStartingWith("the image is damaged: the checksum of RAM block '" + block.name()
                        + "' at offset " + block.pages().offsetBytes() + " is ");
    }

    /** A QEMU that runs as root keeps a descriptor that only names the file, which no lease notices, and opens it again. */
    @Test
    void whatWasWrittenAfterTheCommitIsNotTakenForTheImage() throws Exception {
        PartialImage partial = written();
        try (Directory folder = Directory.open(file().resolve("..").normalize());
                Descriptor kept = folder.openFile(ID.fileName(), Access.NAME_ONLY)) {
            CommittedImage image = partial.commit(sample.header(), sample.pages());
            long offset = image.layout().blocks().getFirst().pages().offsetBytes();
            Instant committed = kept.facts().modifiedAt();
            try (Descriptor writer = Directory.reopen(kept, Access.WRITE)) {
                refuses(
                        FailureReason.ImageDamaged,
                        "the image is damaged: somebody has it open for writing after it was committed",
                        () -> store.verify(ID, (_, _) -> {}));
                while (kept.facts().modifiedAt().equals(committed)) {
                    writer.write(ByteBuffer.wrap(new byte[] {0x55}), offset);
                }
            }
            refuses(
                    FailureReason.ImageDamaged,
                    "the image is damaged: it was written to after it was committed",
                    () -> store.verify(ID, (_, _) -> {}));
            assertThat(store.state(ID)).contains(new ImageState.Complete());
            assertThat(file().resolveSibling(ID.checksumsName())).doesNotExist();
        }
    }

    @Test
    void aScanLeavesAnImageAloneThatWasHandedOverMeanwhile() throws Exception {
        committed();
        boolean verified = store.verify(ID, (_, _) -> {
            try {
                store.transition(ID, HANDED_OVER);
            } catch (TorporException e) {
                throw new IllegalStateException(e);
            }
        });
        assertThat(verified).isFalse();
        assertThat(store.state(ID)).contains(HANDED_OVER);
        assertThat(file().resolveSibling(ID.checksumsName())).doesNotExist();
    }

    @Test
    void aTornOrDamagedTableIsToldAndIsNoImageDamageInSilence() throws Exception {
        committed();
        store.verify(ID, (_, _) -> {});
        Path table = file().resolveSibling(ID.checksumsName());
        byte[] whole = Files.readAllBytes(table);
        CommittedImage image = store.open(ID);
        for (int length = 0; length < whole.length; length++) {
            Files.write(table, Arrays.copyOf(whole, length));
            assertThatThrownBy(() -> image.verify((_, _) -> {}))
                    .hasMessageStartingWith("the table of page checksums is damaged: ");
        }
        for (int i = 0; i < whole.length; i++) {
            byte[] flipped = whole.clone();
            flipped[i] ^= 1;
            Files.write(table, flipped);
            assertThatThrownBy(() -> image.verify((_, _) -> {}))
                    .isInstanceOf(TorporException.class)
                    .hasMessageStartingWith("the table of page checksums ");
        }
        store.delete(ID);
        assertThat(table).doesNotExist();
    }

    @Test
    void recordedDamageKeepsAnImageFromBeingRestoredUntilALookFindsItSound() throws Exception {
        committed();
        store.verify(ID, (_, _) -> {});
        assertThat(store.damage(ID)).isEmpty();
        long offset = store.open(ID).layout().blocks().getFirst().pages().offsetBytes() + 5;
        byte before = Files.readAllBytes(file())[(int) offset];
        patch(offset, (byte) ~before);
        assertThatThrownBy(() -> store.rescan(ID, (_, _) -> {})).isInstanceOfSatisfying(TorporException.class, e -> {
            assertThat(e.reason()).isEqualTo(FailureReason.ImageDamaged);
        });
        store.recordDamage(ID, "page 5 differs");
        assertThat(store.damage(ID)).contains("page 5 differs");
        refuses(FailureReason.ImageDamaged, "page 5 differs", () -> store.open(ID)
                .requireRestorable());

        patch(offset, before);
        refuses(FailureReason.ImageDamaged, "page 5 differs", () -> store.open(ID)
                .requireRestorable());
        Path table = file().resolveSibling(ID.checksumsName());
        Files.setLastModifiedTime(table, FileTime.from(Instant.EPOCH));
        assertThat(store.verifiedAt(ID)).contains(Instant.EPOCH);
        assertThat(store.rescan(ID, (_, _) -> {})).isTrue();
        store.open(ID).requireRestorable();
        assertThat(store.verifiedAt(ID).orElseThrow()).isAfter(Instant.EPOCH);

        store.recordDamage(ID, "again");
        store.delete(ID);
        assertThat(file().getParent()).isEmptyDirectory();
    }

    @Test
    void aComparisonOutlivesTheImagesName() throws Exception {
        committed();
        store.verify(ID, (_, _) -> {});
        for (Set<String> followed :
                List.of(Set.<String>of(), names(store.open(ID).layout()))) {
            try (PageComparison sound =
                    store.open(ID).comparison(followed, Duration.ZERO).orElseThrow()) {
                sound.compare((_, _) -> {});
            }
        }
        patch(store.open(ID).layout().blocks().getFirst().pages().offsetBytes(), (byte) 0x55);
        try (PageComparison damaged =
                store.open(ID).comparison(Set.of(), Duration.ZERO).orElseThrow()) {
            store.delete(ID);
            assertThatThrownBy(() -> damaged.compare((_, _) -> {}))
                    .isInstanceOfSatisfying(
                            TorporException.class, e -> assertThat(e.reason()).isEqualTo(FailureReason.ImageDamaged));
        }
    }

    @Test
    void thereIsNothingToCompareWithBeforeAScan() throws Exception {
        assertThat(committed().comparison(Set.of(), Duration.ZERO)).isEmpty();
        assertThat(store.open(ID).hasPageChecksums()).isFalse();
        assertThat(store.rescan(ID, (_, _) -> {})).isTrue();
        assertThat(store.open(ID).hasPageChecksums()).isTrue();
        assertThat(store.state(ID)).contains(new ImageState.Verified());
    }

    private static Set<String> names(ImageLayout layout) {
        return layout.blocks().stream().map(RamBlock::name).collect(Collectors.toSet());
    }

    @Test
    void partialBecomesCompleteByCommitOnly() throws TorporException {
        store.create(ID, INTENT);
        assertThatThrownBy(() -> store.transition(ID, new ImageState.Complete()))
                .isInstanceOf(IllegalStateException.class);
    }

    @Test
    void imageThatWasGivenAwayOrIsStaleMustNotBeResumed() throws TorporException {
        CommittedImage fresh = committed();
        fresh.requireRestorable();
        store.transition(ID, HANDED_OVER);
        refuses(
                FailureReason.SnapshotUnusable,
                "image " + ID + " must not be resumed: it was handed over to process 43 of pod pod-2",
                () -> store.open(ID).requireRestorable());
    }

    @Test
    void staleImageMustNotBeResumed() throws TorporException {
        committed();
        store.transition(ID, new ImageState.Stale());
        refuses(
                FailureReason.SnapshotUnusable,
                "image " + ID + " must not be resumed: its VM has run from its disks since",
                () -> store.open(ID).requireRestorable());
    }

    @Test
    void checkpointStaysRestorable() {
        assertThat(HANDED_OVER.restorable(ImageMode.CHECKPOINT)).isTrue();
        assertThat(HANDED_OVER.restorable(ImageMode.SAVE)).isFalse();
        assertThat(HANDED_OVER.mayBecome(new ImageState.Complete(), ImageMode.CHECKPOINT))
                .isTrue();
        assertThat(HANDED_OVER.mayBecome(new ImageState.Consumed(), ImageMode.CHECKPOINT))
                .isFalse();
    }

    @Test
    void deletedImageIsGoneAndDeletingAgainIsFine() throws TorporException {
        committed();
        store.delete(ID);
        store.delete(ID);
        assertThat(store.list()).isEmpty();
        assertThat(file()).doesNotExist();
    }

    @Test
    void replacedFileIsNotGivenToQemu() throws TorporException, IOException {
        CommittedImage image = committed();
        Path copy = file().resolveSibling("copy");
        Files.copy(file(), copy);
        Files.move(copy, file(), java.nio.file.StandardCopyOption.REPLACE_EXISTING);
        refuses(FailureReason.ImageMissing, "the image's file was replaced by another", () -> image.openForQemu(false)
                .close());
    }

    @Test
    void storeHasOneOwnerAndManyLookers() throws TorporException {
        committed();
        refuses(
                FailureReason.StoreFailed,
                "the image store belongs to another process, an agent for example: stop it, or use another store",
                () -> ImageStore.open(temp.resolve("store")).close());
        try (ImageStore looker = ImageStore.openReadOnly(temp.resolve("store"))) {
            assertThat(looker.storeID()).isEqualTo(store.storeID());
            assertThat(looker.open(ID).id()).isEqualTo(ID);
            assertThatThrownBy(() -> looker.delete(ID)).isInstanceOf(IllegalStateException.class);
        }
    }

    @Test
    void identityOfTheStoreStays() throws TorporException {
        String id = store.storeID();
        close();
        store = ImageStore.open(temp.resolve("store"));
        assertThat(store.storeID()).isEqualTo(id);
    }

    @Test
    void imageIsOpenedByItsPathAlone() throws TorporException {
        committed();
        CommittedImage image = CommittedImage.open(file());
        assertThat(image.header()).isEqualTo(sample.header());
        assertThat(image.record()).isEmpty();
        refuses(
                FailureReason.ImageMissing,
                "the image's file is missing",
                () -> CommittedImage.open(temp.resolve("nothing.img")));
        refuses(FailureReason.ImageMissing, "store is not a file", () -> CommittedImage.open(temp.resolve("store")));
    }
}
