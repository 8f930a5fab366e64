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
import dev.torpor.agent.linux.Access;
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
import java.util.Optional;
import java.util.OptionalInt;

/**
 * Recorded channels: saves into the store (flush, checks and commit included) beside what QEMU sends when nobody keeps it, and
 * beside what fio writes of as many bytes, and beside somebody who writes what QEMU sends into one file and does nothing else,
 * for 1 to 16 channels; loads beside what QEMU takes of the same streams out of the page cache, not looked at. Once with the store
 * on the disk, and once in memory, where the disk is no limit. Then compression, beside what QEMU sends and takes with the same one, and
 * beside the other engine, with size and CPU time. RAM is the
 * Java runtime's own files over and over, which compress as programs do. Prints tables in Markdown and asserts nothing.
 *
 * <p>RAM to load into is there before the clock runs: what a virtual machine's host takes to bring pages that it had taken back
 * falls to whoever comes first, and is more than all else.
 *
 * <p>Settings from the environment: TORPOR_BENCH_GIB (2; four times that is needed of memory), TORPOR_BENCH_ROUNDS (3),
 * TORPOR_BENCH_DIR (a folder on the disk to measure; default below {@code target}).
 */
public final class StreamBench {
    private static final List<Integer> CHANNELS = List.of(1, 2, 4, 8, 16);

    private static final int COMPRESSED_CHANNELS = 4;

    private static final Path MEMORY = Path.of("/dev/shm");

    private final long bytes;
    private final int rounds;
    /** Of the sockets. */
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
        Path memory = Files.createTempDirectory(MEMORY, "torpor-bench-");
        Path ram = memory.resolve("ram");
        long bytes = Long.parseLong(setting("TORPOR_BENCH_GIB", "2")) << 30;
        try {
            fill(ram, bytes);
            new StreamBench(bytes, Integer.parseInt(setting("TORPOR_BENCH_ROUNDS", "3")), folder.toRealPath())
                    .run(ram, memory);
        } finally {
            Bench.deleteTree(memory);
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

    private void run(Path ram, Path memory) throws IOException, TorporException {
        try (BenchVm source = BenchVm.prefilled(directory, ram, bytes);
                Place disk = Place.in(directory);
                Place inMemory = Place.in(memory)) {
            System.out.println("The store on the disk:");
            byChannels(source, disk);
            System.out.println("The store in memory:");
            byChannels(source, inMemory);
            System.out.println("On the disk:");
            byOptions(source, disk);
        }
    }

    /** Where images go, and fio's file. */
    private record Place(Path directory, ImageStore store) implements AutoCloseable {
        static Place in(Path directory) throws IOException, TorporException {
            return new Place(directory, ImageStore.open(directory.resolve("store")));
        }

        Path file(ImageId id) {
            return directory.resolve("store").resolve(id.relativePath());
        }

        /** Of a descriptor that is as the engine's. */
        Access access() throws TorporException {
            return store.directIO() ? Access.WRITE_DIRECT : Access.WRITE;
        }

        double fio(int jobs, long bytes) throws IOException {
            double seconds = Fio.write(directory, jobs, bytes);
            Files.delete(directory.resolve("fio.img"));
            return seconds;
        }

        @Override
        public void close() throws TorporException {
            store.close();
        }
    }

    private void byChannels(BenchVm source, Place place) throws IOException, TorporException {
        System.out.println(
                "| channels | null sink MB/s | fio MB/s | bare recording MB/s | save MB/s | save / slower of sink and fio"
                        + " | save / bare recording | CPU s of sink, bare recording, save | page cache MB/s | restore MB/s"
                        + " | restore / page cache |");
        System.out.println("|---|---|---|---|---|---|---|---|---|---|---|");
        for (int channels : CHANNELS) {
            byChannels(source, place, channels);
        }
    }

    /** What was measured of one thing, in seconds. */
    private record Times(List<Double> wall, List<Double> cpu) {
        Times() {
            this(new ArrayList<>(), new ArrayList<>());
        }

        double seconds() {
            return Measurement.median(wall);
        }

        double cpuSeconds() {
            return Measurement.median(cpu);
        }

        void clear() {
            wall.clear();
            cpu.clear();
        }
    }

    /** Something with a VM that has just run for an instant. */
    private interface Work {
        void with(QmpClient qmp) throws IOException, TorporException;
    }

    /** The time that a work takes, and that of the processors, ours and QEMU's. */
    private static void time(Times times, BenchVm source, Work work) throws IOException, TorporException {
        Duration before = cpu(source);
        try (QmpClient qmp = source.connect()) {
            rearm(qmp);
            long began = System.nanoTime();
            work.with(qmp);
            times.wall().add(seconds(began));
        }
        times.cpu().add(cpu(source).minus(before).toMillis() / 1e3);
    }

    private void byChannels(BenchVm source, Place place, int channels) throws IOException, TorporException {
        Times sink = new Times();
        Times bare = new Times();
        Times save = new Times();
        Times fio = new Times();
        Times played = new Times();
        Times load = new Times();
        SaveOptions options = new SaveOptions(OptionalInt.of(channels), DirectIO.AUTO, 0).with(Engine.MULTIFD_STREAM);
        for (int round = 0; round <= rounds; round++) {
            time(sink, source, qmp -> NullSink.swallow(qmp, directory, channels, Compression.NONE));
            fio.wall().add(place.fio(channels, bytes));
            time(bare, source, qmp -> NullSink.keep(qmp, directory, channels, place.directory(), place.access()));
            NullSink.forget(place.directory());
            ImageId id = new ImageId("bench", "vm", "streams-" + channels + "-" + round);
            time(save, source, qmp -> EngineSave.save(qmp, place.store(), id, options, folder()));
            load.wall().add(load(place.store(), id));
            played.wall().add(source(place, id));
            place.store().delete(id);
            if (round == 0) { // whoever comes first pays for what the machine's host has taken back
                List.of(sink, bare, save, fio, played, load).forEach(Times::clear);
            }
        }
        System.out.printf(
                "| %d | %.0f | %.0f | %.0f | %.0f | %.2f | %.2f | %.2f, %.2f, %.2f | %.0f | %.0f | %.2f |%n",
                channels,
                rate(sink.seconds()),
                rate(fio.seconds()),
                rate(bare.seconds()),
                rate(save.seconds()),
                Math.max(sink.seconds(), fio.seconds()) / save.seconds(),
                bare.seconds() / save.seconds(),
                sink.cpuSeconds(),
                bare.cpuSeconds(),
                save.cpuSeconds(),
                rate(played.seconds()),
                rate(load.seconds()),
                played.seconds() / load.seconds());
    }

    private void byOptions(BenchVm source, Place place) throws IOException, TorporException {
        System.out.println(
                "| 4 channels | null sink s | save s | null sink / save | image MiB | CPU s of sink, save | page cache s"
                        + " | restore s | page cache / restore |");
        System.out.println("|---|---|---|---|---|---|---|---|---|");
        SaveOptions four = new SaveOptions(OptionalInt.of(COMPRESSED_CHANNELS), DirectIO.AUTO, 0);
        byOptions("qemu-direct", source, place, four.with(Engine.QEMU_DIRECT));
        byOptions("multifd-stream", source, place, four.with(Engine.MULTIFD_STREAM));
        for (int level : List.of(1, 3)) {
            Compression zstd = new Compression(Compression.Method.ZSTD, OptionalInt.of(level));
            byOptions("multifd-stream, zstd " + level, source, place, four.with(zstd));
        }
        Compression zlib = new Compression(Compression.Method.ZLIB, OptionalInt.of(1));
        byOptions("multifd-stream, zlib 1", source, place, four.with(zlib));
    }

    private void byOptions(String name, BenchVm source, Place place, SaveOptions options)
            throws IOException, TorporException {
        boolean streams = !options.engine().equals(Optional.of(Engine.QEMU_DIRECT));
        Times sink = new Times();
        Times save = new Times();
        Times played = new Times();
        Times load = new Times();
        long allocated = 0;
        for (int round = 0; round <= rounds; round++) {
            if (streams) {
                time(sink, source, qmp -> NullSink.swallow(qmp, directory, COMPRESSED_CHANNELS, options.compression()));
            }
            ImageId id = new ImageId("bench", "vm", "options-" + round);
            time(save, source, qmp -> EngineSave.save(qmp, place.store(), id, options, folder()));
            allocated = place.store().open(id).allocatedBytes();
            load.wall().add(load(place.store(), id));
            if (streams) {
                played.wall().add(source(place, id));
            }
            place.store().delete(id);
            if (round == 0) {
                List.of(sink, save, played, load).forEach(Times::clear);
            }
        }
        if (!streams) {
            System.out.printf(
                    "| %s | | %.2f | | %d | %.1f | | %.2f | |%n",
                    name, save.seconds(), allocated >> 20, save.cpuSeconds(), load.seconds());
            return;
        }
        System.out.printf(
                "| %s | %.2f | %.2f | %.2f | %d | %.1f, %.1f | %.2f | %.2f | %.2f |%n",
                name,
                sink.seconds(),
                save.seconds(),
                sink.seconds() / save.seconds(),
                allocated >> 20,
                sink.cpuSeconds(),
                save.cpuSeconds(),
                played.seconds(),
                load.seconds(),
                played.seconds() / load.seconds());
    }

    /** Of QEMU and of ourselves. */
    private static Duration cpu(BenchVm vm) {
        return vm.cpu().plus(ProcessHandle.current().info().totalCpuDuration().orElse(Duration.ZERO));
    }

    private double load(ImageStore store, ImageId id) throws IOException, TorporException {
        try (BenchVm vm = BenchVm.incomingWithMemory(directory, bytes);
                QmpClient qmp = vm.connect()) {
            qmp.execute("query-status"); // answered once its RAM is there
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
    private double source(Place place, ImageId id) throws IOException, TorporException {
        Path file = place.file(id);
        ChannelLayout layout = place.store().open(id).layout().channels().orElseThrow();
        NullSource.warm(file);
        try (BenchVm vm = BenchVm.incomingWithMemory(directory, bytes);
                QmpClient qmp = vm.connect()) {
            qmp.execute("query-status"); // answered once its RAM is there
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
