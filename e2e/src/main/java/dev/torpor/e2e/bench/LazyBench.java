package dev.torpor.e2e.bench;

import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.engine.Guest;
import dev.torpor.agent.engine.MappedMemory;
import dev.torpor.agent.engine.QemuDirectEngine;
import dev.torpor.agent.engine.QemuProbe;
import dev.torpor.agent.engine.RestoreChecks;
import dev.torpor.agent.engine.VmFacts;
import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.ImageFiles;
import dev.torpor.agent.image.ImageHeader;
import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.launch.Ask;
import dev.torpor.agent.launch.FolderId;
import dev.torpor.agent.launch.LazyStart;
import dev.torpor.agent.launch.QemuVersion;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.random.RandomGenerator;
import java.util.stream.Stream;

/**
 * From the launch of QEMU to a running guest: lazily resumed with all that the agent does for it (checks of the image, shadow,
 * load, samples), beside a bare start of the same machine, in turn, for several sizes of random RAM. The images were
 * written past the page cache, and only what resumes touch is in memory.
 *
 * <p>Settings from the environment: TORPOR_BENCH_SIZES (GiB, {@code 1,4}), TORPOR_BENCH_ROUNDS (5), TORPOR_BENCH_DIR.
 */
public final class LazyBench {
    private static final long GIB = 1L << 30;

    private LazyBench() {}

    /** Runs all and prints one line for each size. */
    public static void main(String[] arguments) throws Exception {
        Path directory = Path.of(setting(
                        "TORPOR_BENCH_DIR",
                        Path.of("target", "bench", "lazy").toAbsolutePath().toString()))
                .toAbsolutePath();
        Files.createDirectories(directory);
        int rounds = Integer.parseInt(setting("TORPOR_BENCH_ROUNDS", "5"));
        try {
            for (String size : setting("TORPOR_BENCH_SIZES", "1,4").split(",", -1)) {
                measure(directory, Long.parseLong(size) * GIB, rounds);
            }
        } finally {
            deleteTree(directory);
        }
    }

    private static void measure(Path directory, long bytes, int rounds) throws IOException, TorporException {
        List<Double> bare = new ArrayList<>();
        List<Double> lazy = new ArrayList<>();
        Path ram = Files.createTempFile(Path.of("/dev/shm"), "torpor-bench-", ".ram");
        try (ImageStore store = ImageStore.open(directory.resolve("store-" + bytes / GIB))) {
            CommittedImage image;
            fill(ram, bytes);
            try (BenchVm source = BenchVm.prefilled(directory, ram, bytes)) {
                image = save(source, store);
            } finally {
                Files.delete(ram);
            }
            Path file =
                    directory.resolve("store-" + bytes / GIB).resolve(image.id().relativePath());
            for (int round = 0; round <= rounds; round++) {
                double start = bare(directory, bytes);
                double resume = lazy(directory, bytes, store, image.id(), file);
                if (round > 0) { // the first brings QEMU itself into memory
                    bare.add(start);
                    lazy.add(resume);
                }
            }
        }
        double ratio = Measurement.median(lazy) / Measurement.median(bare);
        System.out.printf(
                Locale.ROOT,
                "%2d GiB  bare start %.3f s  lazy resume %.3f s  ratio %.2f   all runs: %s %s%n",
                bytes / GIB,
                Measurement.median(bare),
                Measurement.median(lazy),
                ratio,
                shown(bare),
                shown(lazy));
    }

    private static double bare(Path directory, long bytes) throws IOException, TorporException {
        long began = System.nanoTime();
        try (BenchVm vm = BenchVm.bare(directory, bytes);
                QmpClient qmp = vm.connect()) {
            if (!Guest.runState(qmp).running()) {
                throw new IllegalStateException("a bare QEMU does not run");
            }
            return (System.nanoTime() - began) / 1e9;
        }
    }

    private static double lazy(Path directory, long bytes, ImageStore store, ImageId id, Path file)
            throws IOException, TorporException {
        long began = System.nanoTime();
        CommittedImage image = store.open(id);
        try (BenchVm vm = BenchVm.incoming(directory, bytes, mapping(image, file));
                QmpClient qmp = vm.connect()) {
            VmFacts target = QemuProbe.probe(qmp);
            RestoreChecks.compare(image.header().vm(), target);
            List<String> mapped = MappedMemory.of(qmp, image.layout(), file.toString());
            if (mapped.isEmpty()) {
                throw new IllegalStateException("QEMU has not mapped the image");
            }
            try (ImageFiles shadow = image.openShadowForQemu(Set.copyOf(mapped));
                    ImageFiles files = image.openForQemu(false)) {
                QemuDirectEngine.load(
                        qmp,
                        target,
                        shadow.all(),
                        ImageHeader.STREAM_OFFSET_BYTES,
                        new Cancellation(),
                        (done, total) -> {});
                MappedMemory.compare(qmp, image.layout(), mapped, files.buffered()::read, RandomGenerator.getDefault());
            }
            Guest.resume(qmp);
            return (System.nanoTime() - began) / 1e9;
        }
    }

    /** Returns the words that the agent adds to the command. */
    private static List<String> mapping(CommittedImage image, Path file) {
        FolderId folder = new FolderId(1, 1);
        Ask ask = new Ask(
                "bench", List.of("qemu-system-x86_64"), Optional.of(new QemuVersion(9, 0)), Optional.of(folder));
        return switch (LazyStart.of(ask, new LazyStart.Image(image.header(), image.layout(), folder))) {
            case LazyStart.Possible start ->
                start.argv().stream()
                        .skip(1)
                        .map(word -> word.replace(LazyStart.pathInPod(image.id()), file.toString()))
                        .toList();
            case LazyStart.NotPossible(String why) -> throw new IllegalStateException(why);
        };
    }

    private static CommittedImage save(BenchVm vm, ImageStore store) throws IOException, TorporException {
        try (QmpClient qmp = vm.connect()) {
            // It was started paused; that its guest ran is what its image is to say.
            qmp.execute("cont");
            return EngineSave.save(qmp, store, new ImageId("bench", "vm", "lazy"), OptionalInt.empty());
        }
    }

    private static void fill(Path ram, long bytes) throws IOException {
        SplittableRandom random = new SplittableRandom(1);
        byte[] block = new byte[1 << 20];
        try (OutputStream out = Files.newOutputStream(ram)) {
            for (long done = 0; done < bytes; done += block.length) {
                random.nextBytes(block);
                out.write(block);
            }
        }
    }

    private static List<String> shown(List<Double> seconds) {
        return seconds.stream().map(s -> String.format(Locale.ROOT, "%.3f", s)).toList();
    }

    private static String setting(String name, String otherwise) {
        String value = System.getenv(name);
        return value == null || value.isEmpty() ? otherwise : value;
    }

    private static void deleteTree(Path root) throws IOException {
        try (Stream<Path> entries = Files.walk(root)) {
            for (Path entry : entries.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(entry);
            }
        }
    }
}
