package dev.torpor.e2e.bench;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.engine.QemuDirectEngine;
import dev.torpor.agent.engine.QemuProbe;
import dev.torpor.agent.engine.RestoreChecks;
import dev.torpor.agent.engine.VmFacts;
import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.ImageFiles;
import dev.torpor.agent.image.ImageHeader;
import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.linux.Directory;
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
import java.util.OptionalInt;
import java.util.SplittableRandom;
import java.util.stream.Stream;

/**
 * Saves and restores 4 GiB of random RAM: through the agent's engine and store (probe, plan, durable record, save, checks,
 * header, flush, commit; on restore all checks and the comparison of definitions), by QEMU driven by hand with the same
 * parameters and a flush, and by fio. The three take turns, so that what the machine does meanwhile hits all alike; a first
 * round, and a load before those that are compared, are not counted, as on a virtual machine whoever first touches a page of
 * memory pays for the host's.
 *
 * <p>Settings from the environment: TORPOR_BENCH_GIB (4), TORPOR_BENCH_ROUNDS (6), TORPOR_BENCH_DIR (a folder on the disk
 * to measure; default below {@code target}).
 */
public final class Bench {
    private static final List<Integer> CHANNELS = List.of(1, 2, 4);

    private final long bytes;
    private final int rounds;
    private final Path directory;
    private final List<Measurement> results = new ArrayList<>();

    private Bench(long bytes, int rounds, Path directory) {
        this.bytes = bytes;
        this.rounds = rounds;
        this.directory = directory;
    }

    /** Runs all and prints the table; the figures go to {@code target/bench/results.json} below the working directory. */
    public static void main(String[] arguments) throws Exception {
        Path out = Path.of("target", "bench").toAbsolutePath();
        Path directory = Path.of(setting("TORPOR_BENCH_DIR", out.resolve("work").toString()));
        Files.createDirectories(out);
        Files.createDirectories(directory);
        Bench bench = new Bench(
                Long.parseLong(setting("TORPOR_BENCH_GIB", "4")) << 30,
                Integer.parseInt(setting("TORPOR_BENCH_ROUNDS", "6")),
                directory.toRealPath());
        try {
            bench.run();
        } finally {
            deleteTree(directory);
        }
        new ObjectMapper()
                .enable(SerializationFeature.INDENT_OUTPUT)
                .writeValue(out.resolve("results.json").toFile(), bench.results);
        System.out.println("figures: target/bench/results.json");
    }

    private void run() throws IOException, TorporException {
        Path ram = Files.createTempFile(Path.of("/dev/shm"), "torpor-bench-", ".ram");
        try {
            System.out.printf("filling %d GiB of RAM with random bytes%n", bytes >> 30);
            fill(ram);
            for (int channels : CHANNELS) {
                measure(ram, channels);
            }
        } finally {
            Files.deleteIfExists(ram);
        }
        print();
    }

    private void measure(Path ram, int channels) throws IOException, TorporException {
        List<Double> fioWrites = new ArrayList<>();
        List<Double> handSaves = new ArrayList<>();
        List<Double> agentSaves = new ArrayList<>();
        List<Double> fioReads = new ArrayList<>();
        List<Double> handLoads = new ArrayList<>();
        List<Double> agentLoads = new ArrayList<>();
        Path store = Files.createDirectories(directory.resolve("store"));
        try (BenchVm source = BenchVm.prefilled(directory, ram, bytes);
                Directory files = Directory.open(directory);
                ImageStore images = ImageStore.open(store)) {
            for (int round = 0; round <= rounds; round++) {
                System.out.printf("%d channels, round %d of %d%n", channels, round, rounds);
                ImageId id = new ImageId("bench", "vm", "round-" + channels + "-" + round);
                fioWrites.add(Fio.write(directory, channels, bytes));
                // Who goes first changes from round to round: the disk's caches favour one or the other.
                boolean agentFirst = round % 2 == 1;
                for (boolean agent : new boolean[] {agentFirst, !agentFirst}) {
                    if (agent) {
                        agentSaves.add(seconds(() -> saveByAgent(source, images, id, channels)));
                    } else {
                        // Taking an old file away costs as much as a good part of a save: not counted.
                        QemuByHand.forget(files);
                        handSaves.add(seconds(() -> saveByHand(source, files, channels)));
                    }
                }
                fioReads.add(Fio.read(directory, channels, bytes));
                // Not counted: the first to fill memory after a pause pays for what the machine's host took back, and
                // the
                // host may keep what it read once. Both load the same file: where a file lies matters more than who
                // loads.
                var _ = loadByHand(store, id);
                var _ = loadByAgent(images, id);
                for (boolean agent : new boolean[] {agentFirst, !agentFirst}) {
                    if (agent) {
                        agentLoads.add(loadByAgent(images, id));
                    } else {
                        handLoads.add(loadByHand(store, id));
                    }
                }
                images.delete(id);
                if (round == 0) {
                    List.of(fioWrites, handSaves, agentSaves, fioReads, handLoads, agentLoads)
                            .forEach(List::clear);
                }
            }
        }
        add("save", channels, fioWrites, handSaves, agentSaves);
        // The engine chooses the channels of a load, so these rows say the channels of the save.
        add("restore", channels, fioReads, handLoads, agentLoads);
    }

    private void saveByHand(BenchVm vm, Directory files, int channels) throws IOException, TorporException {
        try (QmpClient qmp = vm.connect()) {
            rearm(qmp);
            QemuByHand.save(qmp, files, channels, ImageHeader.STREAM_OFFSET_BYTES);
        }
    }

    private static void saveByAgent(BenchVm vm, ImageStore store, ImageId id, int channels)
            throws IOException, TorporException {
        try (QmpClient qmp = vm.connect()) {
            rearm(qmp);
            EngineSave.save(qmp, store, id, OptionalInt.of(channels));
        }
    }

    /** A second migrate is refused until the guest has run; it runs for an instant, the same before each save. */
    private static void rearm(QmpClient qmp) throws TorporException {
        qmp.execute("cont");
        qmp.execute("stop");
    }

    private double loadByHand(Path store, ImageId id) throws IOException, TorporException {
        Path folder = store.resolve("images").resolve(id.namespace()).resolve(id.vm());
        try (Directory files = Directory.open(folder);
                BenchVm vm = BenchVm.incoming(directory, bytes);
                QmpClient qmp = vm.connect()) {
            // As many channels as the engine chooses by itself.
            int channels = Math.clamp(Runtime.getRuntime().availableProcessors(), 2, 4);
            return seconds(() -> QemuByHand.load(qmp, files, id.fileName(), channels, ImageHeader.STREAM_OFFSET_BYTES));
        }
    }

    private double loadByAgent(ImageStore store, ImageId id) throws IOException, TorporException {
        try (BenchVm vm = BenchVm.incoming(directory, bytes);
                QmpClient qmp = vm.connect()) {
            return seconds(() -> {
                CommittedImage image = store.open(id);
                VmFacts target = QemuProbe.probe(qmp);
                RestoreChecks.compare(image.header().vm(), target);
                try (ImageFiles files = image.openForQemu(store.directIO())) {
                    QemuDirectEngine.load(
                            qmp,
                            target,
                            files.all(),
                            ImageHeader.STREAM_OFFSET_BYTES,
                            new Cancellation(),
                            (done, total) -> {});
                }
            });
        }
    }

    private void add(String direction, int channels, List<Double> fio, List<Double> hand, List<Double> agent) {
        double fioRate = rate(fio);
        double handRate = rate(hand);
        double agentRate = rate(agent);
        String unit = "MB/s";
        results.add(row("fio", direction, "none", channels, fioRate, unit, "fio", fioRate, fio));
        results.add(row("qemu-alone", direction, "none", channels, handRate, unit, "fio", fioRate, hand));
        results.add(row("agent", direction, QemuDirectEngine.NAME, channels, agentRate, unit, "fio", fioRate, agent));
        results.add(row(
                "agent", direction, QemuDirectEngine.NAME, channels, agentRate, unit, "qemu-alone", handRate, agent));
    }

    private Measurement row(
            String name,
            String direction,
            String engine,
            int channels,
            double value,
            String unit,
            String against,
            double other,
            List<Double> seconds) {
        return new Measurement(
                name,
                direction,
                engine,
                channels,
                value,
                unit,
                against,
                value / other,
                seconds.stream().map(s -> bytes / s / 1e6).toList());
    }

    private double rate(List<Double> seconds) {
        return bytes / Measurement.median(seconds) / 1e6;
    }

    private void print() {
        System.out.printf(
                "%n%-10s %-8s %8s %12s %22s %26s%n", "what", "", "channels", "median MB/s", "ratio", "all runs, MB/s");
        for (Measurement m : results) {
            System.out.printf(
                    Locale.ROOT,
                    "%-10s %-8s %8d %12.0f %7.2f of %-12s %s%n",
                    m.name(),
                    m.direction(),
                    m.channels(),
                    m.value(),
                    m.ratio(),
                    m.against(),
                    m.runs().stream().map(Math::round).toList());
        }
    }

    private void fill(Path ram) throws IOException {
        SplittableRandom random = new SplittableRandom(1);
        byte[] block = new byte[1 << 20];
        try (OutputStream out = Files.newOutputStream(ram)) {
            for (long done = 0; done < bytes; done += block.length) {
                random.nextBytes(block);
                out.write(block);
            }
        }
    }

    private interface Step {
        void run() throws IOException, TorporException;
    }

    private static double seconds(Step step) throws IOException, TorporException {
        long began = System.nanoTime();
        step.run();
        return (System.nanoTime() - began) / 1e9;
    }

    private static String setting(String name, String otherwise) {
        String value = System.getenv(name);
        return value == null || value.isEmpty() ? otherwise : value;
    }

    static void deleteTree(Path root) throws IOException {
        try (Stream<Path> entries = Files.walk(root)) {
            for (Path entry : entries.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(entry);
            }
        }
    }
}
