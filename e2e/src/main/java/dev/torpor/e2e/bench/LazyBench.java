package dev.torpor.e2e.bench;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import dev.torpor.agent.engine.Guest;
import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import java.util.stream.Stream;

/**
 * From the launch of QEMU to a running guest: lazily resumed with all that the agent does for it ({@link LazyResume}),
 * beside a bare start of the same machine, in turn, for several sizes of RAM. Both end when QEMU has said that its guest
 * runs. RAM holds random bytes, as much as {@code TORPOR_BENCH_RANDOM_GIB} allows; what lies above is zero. The images were
 * written past the page cache, and only what resumes touch is in memory.
 *
 * <p>Settings from the environment: TORPOR_BENCH_SIZES (GiB, {@code 1,4,16}), TORPOR_BENCH_ROUNDS (31),
 * TORPOR_BENCH_RANDOM_GIB (4), TORPOR_BENCH_DIR.
 */
public final class LazyBench {
    private static final long GIB = 1L << 30;
    private static final int WARM_UP_ROUNDS = 10;

    private final Path directory;
    private final long randomBytesMax;
    private final int rounds;
    private final List<Measurement> results = new ArrayList<>();

    private LazyBench(Path directory, long randomBytesMax, int rounds) {
        this.directory = directory;
        this.randomBytesMax = randomBytesMax;
        this.rounds = rounds;
    }

    /** Runs all and prints the tables; the figures go to {@code target/bench/lazy-results.json}. */
    public static void main(String[] arguments) throws Exception {
        Path out = Path.of("target", "bench").toAbsolutePath();
        Path directory = Path.of(setting("TORPOR_BENCH_DIR", out.resolve("lazy").toString()))
                .toAbsolutePath();
        Files.createDirectories(out);
        Files.createDirectories(directory);
        LazyBench bench = new LazyBench(
                directory,
                (long) (Double.parseDouble(setting("TORPOR_BENCH_RANDOM_GIB", "4")) * GIB),
                Integer.parseInt(setting("TORPOR_BENCH_ROUNDS", "31")));
        try {
            for (String size : setting("TORPOR_BENCH_SIZES", "1,4,16").split(",", -1)) {
                bench.measure(Long.parseLong(size) * GIB);
            }
        } finally {
            deleteTree(directory);
        }
        double[] medians = bench.results.stream()
                .filter(each -> each.name().matches("lazy-[0-9]+-gib"))
                .mapToDouble(Measurement::value)
                .sorted()
                .toArray();
        System.out.printf(
                Locale.ROOT, "the longest median over the shortest: %.2f%n", medians[medians.length - 1] / medians[0]);
        new ObjectMapper()
                .enable(SerializationFeature.INDENT_OUTPUT)
                .writeValue(out.resolve("lazy-results.json").toFile(), bench.results);
        System.out.println("figures: target/bench/lazy-results.json");
    }

    private void measure(long bytes) throws IOException, TorporException {
        List<Double> bare = new ArrayList<>();
        List<Double> lazy = new ArrayList<>();
        Map<String, List<Double>> steps = new LinkedHashMap<>();
        Path root = directory.resolve("store");
        try (ImageStore store = ImageStore.open(root)) {
            CommittedImage image = save(store, bytes);
            Path file = root.resolve(image.id().relativePath());
            // The first bring QEMU into memory, and this program to speed: an agent is at work for weeks.
            int warmUp = results.isEmpty() ? WARM_UP_ROUNDS : 1;
            for (int round = -warmUp; round < rounds; round++) {
                double start = bare(bytes);
                Map<String, Double> resume = new LazyResume(store, image.id(), file).run(directory, bytes);
                if (round == -WARM_UP_ROUNDS) {
                    System.out.printf(
                            Locale.ROOT,
                            "the first of this process, not counted: bare start %.3f s, lazy resume %.3f s%n",
                            start,
                            resume.values().stream()
                                    .mapToDouble(Double::doubleValue)
                                    .sum());
                }
                if (round >= 0) {
                    bare.add(start);
                    lazy.add(resume.values().stream()
                            .mapToDouble(Double::doubleValue)
                            .sum());
                    resume.forEach((step, seconds) ->
                            steps.computeIfAbsent(step, _ -> new ArrayList<>()).add(seconds));
                }
            }
            store.delete(image.id());
        }
        report(bytes, bare, lazy, steps);
    }

    private void report(long bytes, List<Double> bare, List<Double> lazy, Map<String, List<Double>> steps) {
        double ratio = Measurement.median(lazy) / Measurement.median(bare);
        long gib = bytes / GIB;
        System.out.printf(
                Locale.ROOT,
                "%2d GiB  bare start %.3f s  lazy resume %.3f s  ratio %.2f   all runs: %s %s%n",
                gib,
                Measurement.median(bare),
                Measurement.median(lazy),
                ratio,
                shown(bare),
                shown(lazy));
        steps.forEach((step, seconds) ->
                System.out.printf(Locale.ROOT, "        %5.1f ms  %s%n", Measurement.median(seconds) * 1e3, step));
        String name = "-" + gib + "-gib";
        results.add(row("bare" + name, bare, "bare" + name, 1));
        results.add(row("lazy" + name, lazy, "bare" + name, ratio));
        steps.forEach((step, seconds) -> results.add(row(
                "lazy" + name + ": " + step,
                seconds,
                "lazy" + name,
                Measurement.median(seconds) / Measurement.median(lazy))));
    }

    private static Measurement row(String name, List<Double> seconds, String against, double ratio) {
        return new Measurement(
                name, "resume", "qemu-direct", 0, Measurement.median(seconds), "s", against, ratio, seconds);
    }

    private double bare(long bytes) throws IOException, TorporException {
        long began = System.nanoTime();
        try (BenchVm vm = BenchVm.bare(directory, bytes);
                QmpClient qmp = vm.connect()) {
            if (!Guest.runState(qmp).running()) {
                throw new IllegalStateException("a bare QEMU does not run");
            }
            return (System.nanoTime() - began) / 1e9;
        }
    }

    private CommittedImage save(ImageStore store, long bytes) throws IOException, TorporException {
        Path ram = Files.createTempFile(Path.of("/dev/shm"), "torpor-bench-", ".ram");
        try {
            fill(ram, bytes);
            try (BenchVm source = BenchVm.prefilled(directory, ram, bytes);
                    QmpClient qmp = source.connect()) {
                // It was started paused; that its guest ran is what its image is to say.
                qmp.execute("cont");
                return EngineSave.save(qmp, store, new ImageId("bench", "vm", "lazy"), OptionalInt.empty());
            }
        } finally {
            Files.delete(ram);
        }
    }

    private void fill(Path ram, long bytes) throws IOException {
        SplittableRandom random = new SplittableRandom(1);
        byte[] block = new byte[1 << 20];
        try (FileChannel out = FileChannel.open(ram, StandardOpenOption.WRITE)) {
            for (long done = 0; done < Math.min(bytes, randomBytesMax); done += block.length) {
                random.nextBytes(block);
                out.write(ByteBuffer.wrap(block));
            }
            out.write(ByteBuffer.allocate(1), bytes - 1);
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
