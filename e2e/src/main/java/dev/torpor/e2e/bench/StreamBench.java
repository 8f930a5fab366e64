package dev.torpor.e2e.bench;

import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.engine.DirectIO;
import dev.torpor.agent.engine.Engine;
import dev.torpor.agent.engine.Engines;
import dev.torpor.agent.engine.MigrationFolder;
import dev.torpor.agent.engine.QemuProbe;
import dev.torpor.agent.engine.SaveOptions;
import dev.torpor.agent.engine.VmFacts;
import dev.torpor.agent.image.ChannelLayout;
import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.Compression;
import dev.torpor.agent.image.ImageFiles;
import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;

/**
 * Recorded channels: saves into the store (flush, checks and commit included) beside what QEMU sends when nobody keeps it, and
 * beside what fio writes of as many bytes, for 1 to 16 channels, and loads beside what QEMU takes of the same streams out of the page cache, not looked at; then compression beside the other engine, with size and CPU time. RAM is the Java runtime's own
 * files over and over, which compress as programs do. Prints tables in Markdown and asserts nothing.
 *
 * <p>Settings from the environment: TORPOR_BENCH_GIB (2), TORPOR_BENCH_ROUNDS (3), TORPOR_BENCH_DIR (a folder on the disk to
 * measure; default below {@code target}).
 */
public final class StreamBench {
    private static final List<Integer> CHANNELS = List.of(1, 2, 4, 8, 16);

    private final long bytes;
    private final int rounds;
    private final Path directory;

    private StreamBench(long bytes, int rounds, Path directory) {
        this.bytes = bytes;
        this.rounds = rounds;
        this.directory = directory;
    }

    /** Runs all. */
    public static void main(String[] arguments) throws Exception {
        Path folder =
                Path.of(setting("TORPOR_BENCH_DIR", "target/bench/streams")).toAbsolutePath();
        Files.createDirectories(folder);
        Path ram = Files.createTempFile(Path.of("/dev/shm"), "torpor-bench-", ".ram");
        long bytes = Long.parseLong(setting("TORPOR_BENCH_GIB", "2")) << 30;
        try {
            fill(ram, bytes);
            new StreamBench(bytes, Integer.parseInt(setting("TORPOR_BENCH_ROUNDS", "3")), folder.toRealPath()).run(ram);
        } finally {
            Files.deleteIfExists(ram);
        }
    }

    private static String setting(String name, String otherwise) {
        return System.getenv().getOrDefault(name, otherwise);
    }

    private static void fill(Path ram, long bytes) throws IOException {
        Path runtime = Path.of(System.getProperty("java.home"), "lib", "modules");
        byte[] part = new byte[1 << 20];
        try (OutputStream out = Files.newOutputStream(ram)) {
            long done = 0;
            while (done < bytes) {
                try (InputStream in = Files.newInputStream(runtime)) {
                    for (int n = in.read(part); n > 0 && done < bytes; n = in.read(part)) {
                        out.write(part, 0, (int) Math.min(n, bytes - done));
                        done += n;
                    }
                }
            }
        }
    }

    private void run(Path ram) throws IOException, TorporException {
        try (BenchVm source = BenchVm.prefilled(directory, ram, bytes);
                ImageStore store = ImageStore.open(directory.resolve("store"))) {
            System.out.println(
                    "| channels | null sink MB/s | fio MB/s | save MB/s | save / slower of both | page cache MB/s | restore MB/s | restore / page cache |");
            System.out.println("|---|---|---|---|---|---|---|---|");
            for (int channels : CHANNELS) {
                byChannels(source, store, channels);
            }
            System.out.println("| | seconds | image MiB | CPU seconds | restore seconds |");
            System.out.println("|---|---|---|---|---|");
            SaveOptions four = new SaveOptions(OptionalInt.of(4), DirectIO.AUTO, 0);
            byOptions("qemu-direct", source, store, four.with(Engine.QEMU_DIRECT));
            byOptions("multifd-stream", source, store, four.with(Engine.MULTIFD_STREAM));
            for (int level : List.of(1, 3)) {
                Compression zstd = new Compression(Compression.Method.ZSTD, OptionalInt.of(level));
                byOptions("multifd-stream, zstd " + level, source, store, four.with(zstd));
            }
            Compression zlib = new Compression(Compression.Method.ZLIB, OptionalInt.of(1));
            byOptions("multifd-stream, zlib 1", source, store, four.with(zlib));
        }
    }

    private void byChannels(BenchVm source, ImageStore store, int channels) throws IOException, TorporException {
        List<Double> sinks = new ArrayList<>();
        List<Double> disk = new ArrayList<>();
        List<Double> saves = new ArrayList<>();
        List<Double> sources = new ArrayList<>();
        List<Double> loads = new ArrayList<>();
        SaveOptions options = new SaveOptions(OptionalInt.of(channels), DirectIO.AUTO, 0).with(Engine.MULTIFD_STREAM);
        for (int round = 0; round <= rounds; round++) {
            try (QmpClient qmp = source.connect()) {
                rearm(qmp);
                long began = System.nanoTime();
                NullSink.swallow(qmp, directory, channels);
                sinks.add(seconds(began));
            }
            disk.add(Fio.write(directory, channels, bytes));
            Files.delete(directory.resolve("fio.img"));
            ImageId id = new ImageId("bench", "vm", "streams-" + channels + "-" + round);
            saves.add(save(source, store, id, options));
            loads.add(load(store, id));
            sources.add(source(store, id));
            store.delete(id);
            if (round == 0) { // whoever comes first pays for what the machine's host has taken back
                List.of(sinks, disk, saves, sources, loads).forEach(List::clear);
            }
        }
        double sink = Measurement.median(sinks);
        double written = Measurement.median(disk);
        double save = Measurement.median(saves);
        double played = Measurement.median(sources);
        double load = Measurement.median(loads);
        System.out.printf(
                "| %d | %.0f | %.0f | %.0f | %.2f | %.0f | %.0f | %.2f |%n",
                channels,
                rate(sink),
                rate(written),
                rate(save),
                Math.max(sink, written) / save,
                rate(played),
                rate(load),
                played / load);
    }

    private void byOptions(String name, BenchVm source, ImageStore store, SaveOptions options)
            throws IOException, TorporException {
        List<Double> saves = new ArrayList<>();
        List<Double> loads = new ArrayList<>();
        List<Double> cpu = new ArrayList<>();
        long allocated = 0;
        for (int round = 0; round < rounds; round++) {
            ImageId id = new ImageId("bench", "vm", "options-" + round);
            Duration before = cpu(source);
            saves.add(save(source, store, id, options));
            cpu.add(cpu(source).minus(before).toMillis() / 1e3);
            allocated = store.open(id).allocatedBytes();
            loads.add(load(store, id));
            store.delete(id);
        }
        System.out.printf(
                "| %s | %.2f | %d | %.1f | %.2f |%n",
                name, Measurement.median(saves), allocated >> 20, Measurement.median(cpu), Measurement.median(loads));
    }

    /** Of QEMU and of ourselves. */
    private static Duration cpu(BenchVm vm) {
        return vm.cpu().plus(ProcessHandle.current().info().totalCpuDuration().orElse(Duration.ZERO));
    }

    private double save(BenchVm source, ImageStore store, ImageId id, SaveOptions options)
            throws IOException, TorporException {
        try (QmpClient qmp = source.connect()) {
            rearm(qmp);
            long began = System.nanoTime();
            var _ = EngineSave.save(qmp, store, id, options, folder());
            return seconds(began);
        }
    }

    private double load(ImageStore store, ImageId id) throws IOException, TorporException {
        try (BenchVm vm = BenchVm.incoming(directory, bytes);
                QmpClient qmp = vm.connect()) {
            long began = System.nanoTime();
            CommittedImage image = store.open(id);
            VmFacts target = QemuProbe.probe(qmp);
            try (ImageFiles files = image.openForQemu(store.directIO())) {
                var _ = Engines.load(qmp, target, image, files, folder(), new Cancellation(), (_, _) -> {});
            }
            return seconds(began);
        }
    }

    /** What QEMU takes of the same streams. */
    private double source(ImageStore store, ImageId id) throws IOException, TorporException {
        Path file = directory.resolve("store").resolve(id.relativePath());
        ChannelLayout layout = store.open(id).layout().channels().orElseThrow();
        NullSource.warm(file);
        try (BenchVm vm = BenchVm.incoming(directory, bytes);
                QmpClient qmp = vm.connect()) {
            long began = System.nanoTime();
            NullSource.feed(qmp, directory, file, layout);
            return seconds(began);
        }
    }

    private MigrationFolder folder() {
        return new MigrationFolder(() -> Directory.open(directory), directory.toString());
    }

    /** A second migrate is refused until the guest has run; it runs for an instant, the same before each save. */
    private static void rearm(QmpClient qmp) throws TorporException {
        qmp.execute("cont");
        qmp.execute("stop");
    }

    private static double seconds(long began) {
        return (System.nanoTime() - began) / 1e9;
    }

    private double rate(double seconds) {
        return bytes / seconds / 1e6;
    }
}
