package dev.torpor.e2e.qemu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.engine.Engine;
import dev.torpor.agent.engine.QemuDirectEngine.StoreFacts;
import dev.torpor.agent.engine.SaveOptions;
import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageRecord;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.TreeSet;
import java.util.stream.Stream;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * The power goes away at any moment of saves of a real QEMU, onto a real file system whose disk loses writes that were not
 * flushed, or keeps some of them: what was Ready is whole, what was not is found and removed, no image is taken for another.
 */
@Tag("qemu")
class PowerLossIT {
    private static final long SEED = 7;
    private static final int CUTS = 60;
    private static final long PLENTY_BYTES = 1L << 40;

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    /** What is promised of an image, by the number of entries of the disk's log. */
    private record Promise(int ready, int gone, long checksum) {}

    private final Map<ImageId, Promise> promises = new LinkedHashMap<>();

    @ParameterizedTest
    @EnumSource(Engine.class)
    void whatIsReadyIsWholeWhateverTheDiskKeeps(Engine engine) throws Exception {
        try (LoggedDisk disk = new LoggedDisk(temp.resolve("disk"), 160);
                Vm vm = Vm.bare(temp, 64)) {
            int begin;
            int end;
            try (ImageStore store = ImageStore.open(disk.path().resolve("store"))) {
                begin = disk.entries();
                ImageId first = save(disk, store, vm, engine);
                assertThat(store.verify(first, (_, _) -> {})).isTrue();
                save(disk, store, vm, engine);
                Saving given = begin(store, vm, engine);
                promises.put(given.id(), new Promise(Integer.MAX_VALUE, 0, 0));
                var _ = given.write(new Cancellation(), (_, _) -> {});
                given.abandon();
                Promise promise = Objects.requireNonNull(promises.get(first));
                int asked = disk.entries();
                store.delete(first);
                end = disk.entries();
                promises.put(first, new Promise(promise.ready(), asked, promise.checksum()));
            }
            assertThat(end).isGreaterThan(begin + 20);
            Random random = new Random(SEED);
            int ready = 0;
            int cleaned = 0;
            // Around each promise, and anywhere.
            TreeSet<Integer> cuts = new TreeSet<>(List.of(begin, end));
            promises.values().stream()
                    .flatMap(promise -> Stream.of(promise.ready(), promise.ready() - 1, promise.gone(), end - 1))
                    .filter(cut -> cut >= begin && cut <= end)
                    .forEach(cuts::add);
            while (cuts.size() < Math.min(CUTS, end - begin)) {
                cuts.add(begin + random.nextInt(end - begin + 1));
            }
            for (int cut : cuts) {
                for (LoggedDisk.Keeps keeps : LoggedDisk.Keeps.values()) {
                    String about = engine + ", seed " + SEED + ", cut at " + cut + " of " + begin + ".." + end
                            + ", the disk keeps " + keeps;
                    try (LoggedDisk.Mounted after = disk.afterPowerLoss(cut, keeps, random);
                            ImageStore store = ImageStore.open(after.path().resolve("store"))) {
                        for (Map.Entry<ImageId, Promise> image : promises.entrySet()) {
                            if (isWhole(about, after.path(), store, image.getKey(), image.getValue(), cut)) {
                                ready++;
                            } else {
                                store.delete(image.getKey());
                                cleaned++;
                                assertThat(filesOf(after.path(), image.getKey()))
                                        .as(about)
                                        .isEmpty();
                            }
                        }
                        assertThat(store.list().stream().map(ImageRecord::id))
                                .as(about)
                                .isSubsetOf(promises.keySet());
                    }
                }
            }
            System.out.printf(
                    "figure: power loss: %s, seed %d: %d cuts; images whole %d, removed or not there %d%n",
                    engine, SEED, 3 * cuts.size(), ready, cleaned);
            assertThat(ready).isPositive();
            assertThat(cleaned).isPositive();
        }
    }

    private static Saving begin(ImageStore store, Vm vm, Engine engine) throws TorporException {
        var _ = vm.qmp().execute("cont"); // a guest that did not run is not saved again
        return Saving.begin(
                vm, store, SaveOptions.DEFAULT.with(engine), new StoreFacts(PLENTY_BYTES, store.directIO()));
    }

    private ImageId save(LoggedDisk disk, ImageStore store, Vm vm, Engine engine) throws IOException, TorporException {
        Saving saving = begin(store, vm, engine);
        CommittedImage image = saving.commit(saving.write(new Cancellation(), (_, _) -> {}));
        long checksum = checksum(Saving.file(disk.path().resolve("store"), image));
        promises.put(image.id(), new Promise(disk.entries(), Integer.MAX_VALUE, checksum));
        return image.id();
    }

    /** Tells whether an image is there that would be restored; that it is the one that was saved, is asserted. */
    private static boolean isWhole(String about, Path mounted, ImageStore store, ImageId id, Promise promise, int cut)
            throws IOException, TorporException {
        boolean must = cut >= promise.ready() && cut <= promise.gone();
        try {
            CommittedImage image = store.open(id);
            image.requireRestorable();
            assertThat(promise.checksum())
                    .as(about + ": it was never committed")
                    .isNotZero();
            assertThat(checksum(mounted.resolve("store").resolve(id.relativePath())))
                    .as(about)
                    .isEqualTo(promise.checksum());
            var _ = image.verify((_, _) -> {});
            return true;
        } catch (TorporException e) {
            assertThat(must)
                    .as(about + ": an image that was Ready: " + e.getMessage())
                    .isFalse();
            assertThat(e.reason()).as(about).isIn(FailureReason.ImageMissing, FailureReason.ImageIncomplete);
            if (e.reason() == FailureReason.ImageIncomplete) {
                assertThat(store.state(id)).as(about).contains(new ImageState.Partial());
                store.partial(id).orElseThrow().abandon();
            }
            return false;
        }
    }

    private static List<Path> filesOf(Path mounted, ImageId id) throws IOException {
        try (Stream<Path> files = Files.walk(mounted.resolve("store"))) {
            return files.filter(file -> String.valueOf(file.getFileName()).startsWith(id.uid()))
                    .toList();
        }
    }

    private static long checksum(Path file) throws IOException {
        CRC32C crc = new CRC32C();
        ByteBuffer chunk = ByteBuffer.allocateDirect(1 << 20);
        try (FileChannel channel = FileChannel.open(file)) {
            while (channel.read(chunk.clear()) > 0) {
                crc.update(chunk.flip());
            }
        }
        return crc.getValue() | 1L << 32; // never zero
    }
}
