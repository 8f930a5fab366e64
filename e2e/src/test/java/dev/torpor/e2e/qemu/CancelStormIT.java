package dev.torpor.e2e.qemu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.engine.DirectIO;
import dev.torpor.agent.engine.Engine;
import dev.torpor.agent.engine.Guest;
import dev.torpor.agent.engine.QemuDirectEngine;
import dev.torpor.agent.engine.QemuProbe;
import dev.torpor.agent.engine.SaveOptions;
import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.linux.Proc;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.Random;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Saves of real QEMUs are cancelled at random moments, or whoever had them saved is gone and another comes, over and over: each time QEMU lives, the guest runs on, nothing is left in
 * the store or at QEMU, and the next save begins; the last one is let be, and is restored. How many for each version and engine
 * says {@code TORPOR_CANCELS}, the moments {@code TORPOR_SEED}.
 */
@Tag("qemu")
class CancelStormIT {
    private static final int CANCELS = number("TORPOR_CANCELS", 20);
    private static final long SEED = number("TORPOR_SEED", 5);
    /** A guest ticks once a second; waiting for that after each cancel would be most of the test. */
    private static final int CANCELS_BETWEEN_TICKS = 10;
    /** Of the threads of a QEMU some end a moment after what they were for. */
    private static final int THREADS_SPARE = 8;

    /** Of so many saves one is left by its agent, and settled by the next. */
    private static final int LEFT_ONE_OF = 4;

    private static final FailureReason[] WHYS = {FailureReason.Cancelled, FailureReason.DeadlineExceeded};

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    /** Ends a save as a crash of the agent does: nothing is put in order. */
    private static final class Crash extends RuntimeException {
        private static final long serialVersionUID = 1;
    }

    /** One to be tried. */
    record Way(QemuVersion version, Engine engine) {
        @Override
        public String toString() {
            return "QEMU " + version + ", " + engine.word();
        }
    }

    static List<Way> ways() {
        List<Way> ways = new ArrayList<>();
        for (QemuVersion version : QemuVersion.tried()) {
            if (version.hasMappedRam()) {
                ways.add(new Way(version, Engine.QEMU_DIRECT));
            }
            ways.add(new Way(version, Engine.MULTIFD_STREAM));
        }
        return ways;
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("ways")
    void eachCancelLeavesTheVmRunningAndTheNextSaveWorks(Way way) throws Exception {
        Random random = new Random(SEED);
        int began = 0;
        int late = 0;
        int left = 0;
        try (ScheduledExecutorService clock = Executors.newSingleThreadScheduledExecutor();
                ImageStore store = ImageStore.open(temp.resolve("store"));
                Vm booted = Vm.guestOf(way.version().program(), temp)) {
            Vm vm = booted;
            Tick first = vm.process().awaitTick(tick -> tick.number() >= 1);
            assertThat(QemuProbe.probe(vm.qmp()).capabilities().contains("mapped-ram"))
                    .isEqualTo(way.version().hasMappedRam());
            JsonNode parameters = vm.qmp().execute("query-migrate-parameters");
            JsonNode capabilities = vm.qmp().execute("query-migrate-capabilities");
            // The first one is slower.
            var _ = timeOfASave(vm, store, way.engine());
            long wholeNanos = timeOfASave(vm, store, way.engine());
            vm = vm.reconnected();
            long descriptors = Proc.openFiles(vm.process().pid());
            long threads = threads(vm.process().pid());
            long freeBytes = store.freeBytes();
            long tick = first.number();
            for (int n = 1; n <= CANCELS; n++) {
                String about = way + ", seed " + SEED + ", cancel " + n + " of " + CANCELS;
                Cancellation cancellation = new Cancellation();
                FailureReason why = WHYS[random.nextInt(WHYS.length)];
                Saving saving = Saving.begin(vm, store, options(random, way.engine()));
                AtomicLong doneBytes = new AtomicLong();
                boolean leaves = random.nextInt(LEFT_ONE_OF) == 0;
                String before = status(vm);
                AtomicBoolean now = new AtomicBoolean();
                // From before QEMU is told to begin to after it has ended.
                long delayNanos = random.nextLong(wholeNanos * 9 / 8);
                Runnable end = leaves ? () -> now.set(true) : () -> cancellation.request(why, about);
                var _ = clock.schedule(end, delayNanos, TimeUnit.NANOSECONDS);
                String ends = "completed";
                try {
                    var _ = saving.write(cancellation, (done, _) -> {
                        doneBytes.set(done);
                        if (now.get()) {
                            throw new Crash();
                        }
                    });
                    late++;
                } catch (Crash e) {
                    left++;
                    vm = vm.reconnected();
                    QemuDirectEngine.settle(vm.qmp());
                    // Streams that nobody takes any more are given up, unless all of them had been taken.
                    ends = way.engine() == Engine.MULTIFD_STREAM ? "completed|failed|cancelled" : ends;
                } catch (TorporException e) {
                    assertThat(e.reason())
                            .as(
                                    "%s: %s; %s",
                                    about, e.getMessage(), vm.process().errors())
                            .isEqualTo(why);
                    if (doneBytes.get() > 0) {
                        began++;
                    } else {
                        ends += "|" + before; // it may have been cancelled before QEMU was told to begin
                    }
                }
                // Never by migrate_cancel, which can kill it.
                assertThat(status(vm)).as(about).matches(ends);
                saving.abandon();
                Guest.resume(vm.qmp());

                assertThat(vm.process().alive()).as(about).isTrue();
                assertThat(Guest.runState(vm.qmp()).running()).as(about).isTrue();
                if (way.version().hasMappedRam()) { // older ones let go of what was removed when the monitor is closed
                    QmpClient monitor = vm.qmp();
                    // 11.1 closes what it has of a set a moment later, at about each 200th.
                    await(about).atMost(Duration.ofSeconds(10)).untilAsserted(() -> assertThat(
                                    monitor.execute("query-fdsets"))
                            .isEmpty());
                }
                vm = vm.reconnected(); // as the agent does for each save
                assertThat(vm.qmp().execute("query-fdsets")).as(about).isEmpty();
                assertThat(store.list()).as(about).isEmpty();
                assertThat(files(temp.resolve("store"), saving)).as(about).isEmpty();
                if (n % CANCELS_BETWEEN_TICKS == 0 || n == CANCELS) {
                    long last = tick;
                    Tick next = vm.process().awaitTick(t -> t.number() > last);
                    assertThat(next.nonce()).as(about).isEqualTo(first.nonce());
                    assertThat(next.memoryWrong()).as(about).isFalse();
                    tick = next.number();
                }
            }
            assertThat(vm.qmp().execute("query-migrate-parameters")).isEqualTo(parameters);
            assertThat(vm.qmp().execute("query-migrate-capabilities")).isEqualTo(capabilities);
            int pid = vm.process().pid();
            await("what QEMU ends a moment later").atMost(Duration.ofMinutes(1)).untilAsserted(() -> {
                if (!way.version().leaksSockets()) {
                    assertThat((long) Proc.openFiles(pid)).isLessThanOrEqualTo(descriptors);
                }
                assertThat(threads(pid)).isLessThan(threads + THREADS_SPARE);
            });
            assertThat(store.freeBytes()).isGreaterThan(freeBytes - (1L << 30)); // others use that disk, too
            assertThat(began)
                    .as("saves of which something was written when they were cancelled")
                    .isPositive();

            assertThat(left).as("saves that were left in the middle").isPositive();

            CommittedImage image = Saving.save(vm, store, way.engine());
            try (Vm restored = Vm.guestOf(way.version().program(), temp, "-incoming", "defer")) {
                Saving.load(restored, image, store.directIO());
                Guest.resume(restored.qmp());
                Tick next = restored.process().awaitTick(t -> true);
                assertThat(next.nonce()).isEqualTo(first.nonce());
                assertThat(next.memoryWrong()).isFalse();
            }
        }
        assertThat(late).isLessThan(CANCELS);
        System.out.printf(
                "figure: %s, seed %d: %d cancels, %d of them in the middle, %d after the end, and %d saves that were left%n",
                way, SEED, CANCELS - left, began, late, left);
    }

    /** With limits of bandwidth and without, as they decide where a save is when its end is wished for. */
    private static SaveOptions options(Random random, Engine engine) {
        long bandwidth = random.nextInt(3) == 0 ? (1 + random.nextLong(64)) << 20 : 0;
        return new SaveOptions(OptionalInt.of(1 + random.nextInt(4)), DirectIO.AUTO, bandwidth).with(engine);
    }

    private static long timeOfASave(Vm vm, ImageStore store, Engine engine) throws Exception {
        Saving saving = Saving.begin(vm, store, SaveOptions.DEFAULT.with(engine));
        long began = System.nanoTime();
        var _ = saving.write(new Cancellation(), (_, _) -> {});
        long nanos = System.nanoTime() - began;
        saving.abandon();
        Guest.resume(vm.qmp());
        return nanos;
    }

    private static String status(Vm vm) throws Exception {
        return vm.qmp().execute("query-migrate").path("status").asText();
    }

    private static long threads(int pid) throws IOException {
        try (Stream<Path> tasks = Files.list(Path.of("/proc", Integer.toString(pid), "task"))) {
            return tasks.count();
        }
    }

    private static List<Path> files(Path store, Saving saving) throws IOException {
        try (Stream<Path> files = Files.walk(store)) {
            return files.filter(file -> String.valueOf(file.getFileName())
                            .contains(saving.id().uid()))
                    .toList();
        }
    }

    private static int number(String variable, int otherwise) {
        String value = System.getenv(variable);
        return value == null ? otherwise : Integer.parseInt(value);
    }
}
