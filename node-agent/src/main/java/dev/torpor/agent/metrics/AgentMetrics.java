package dev.torpor.agent.metrics;

import dev.torpor.failure.FailureReason;
import dev.torpor.telemetry.metrics.Registries;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.DistributionSummary;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import java.time.Duration;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongSupplier;
import java.util.function.Supplier;

/** The agent's metrics; docs/metrics.md lists them all. Thread-safe. */
public final class AgentMetrics {
    // What counts as slow on NVMe, and what the fastest of today reach: 100 MB/s to 16 GB/s.
    private static final double[] RATE_BUCKETS = {1e8, 2.5e8, 5e8, 1e9, 2e9, 4e9, 8e9, 16e9};
    private static final String NO_REASON = "none";
    private static final double NANOS_PER_SECOND = 1e9;
    // A smaller save tells what a save costs anyway, not how fast memory is written.
    private static final long TELLING_BYTES = 32L << 20;

    private final MeterRegistry registry;
    private final Timer saveDuration;
    private final Timer savePaused;
    private final Counter writtenBytes;
    private final DistributionSummary saveThroughput;
    private final AtomicLong lastSaveThroughput = new AtomicLong();
    private final AtomicLong lastTellingRate = new AtomicLong();
    private final Timer restoreDuration;
    private final Counter readBytes;
    private final DistributionSummary restoreThroughput;
    private final Counter leaseFailures;

    /** How a save or a restore came to its end. */
    public enum Outcome {
        /** As it was asked for. */
        DONE,
        /** Given up for good. */
        FAILED,
        /** By the wish of whoever asked for it. */
        CANCELLED
    }

    /** Why an image's pages are read. */
    public enum Scan {
        /** For the first time, after the commit. */
        AFTER_SAVE,
        /** As it was a while since they were read. */
        SCRUB,
        /** As somebody asked for it. */
        REQUEST,
        /** As a guest was resumed from them. */
        RESUME
    }

    /** How that ended. */
    public enum ScanEnd {
        /** All pages could be read, and are what they were. */
        SOUND,
        /** They are not. */
        DAMAGED,
        /** It was broken off. */
        UNFINISHED
    }

    /** What a launcher was told. */
    public enum LauncherAnswer {
        /** To start cold. */
        BOOT,
        /** To start and wait for an image. */
        RESUME,
        /** To wait. */
        WAIT
    }

    public AgentMetrics(MeterRegistry registry) {
        this.registry = registry;
        for (Outcome outcome : new Outcome[] {Outcome.DONE}) {
            var _ = ended("save", outcome, NO_REASON);
            var _ = ended("restore", outcome, NO_REASON);
        }
        for (Scan scan : Scan.values()) {
            var _ = scans(scan, ScanEnd.DAMAGED); // one that appears with its first increment is not seen by rate()
        }
        for (LauncherAnswer answer : LauncherAnswer.values()) {
            var _ = answers(answer);
        }
        saveDuration =
                duration("torpor.agent.save.duration", "Time from a save's first look at QEMU to the committed image");
        savePaused = duration(
                "torpor.agent.save.paused",
                "Time from pausing the guest for a save to what follows the committed image");
        writtenBytes = bytes("torpor.agent.save.written", "Bytes of guest memory written to images, as compressed");
        saveThroughput = throughput(
                "torpor.agent.save.throughput",
                "Bytes of guest memory written per second, as compressed, of each save");
        gauge(
                "torpor.agent.last.save.throughput",
                "Bytes of guest memory written per second, as compressed, of the last save",
                "bytes_per_second",
                lastSaveThroughput::get);
        restoreDuration =
                duration("torpor.agent.restore.duration", "Time from the first byte read of an image to its hand-over");
        readBytes = bytes("torpor.agent.restore.read", "Bytes of images read by restores");
        restoreThroughput =
                throughput("torpor.agent.restore.throughput", "Bytes of images read per second, of each restore");
        leaseFailures = Counter.builder("torpor.agent.lease.renewal.failures")
                .description("Renewals of the store's Lease that failed")
                .register(registry);
    }

    /** Counts a save that came to its end. */
    public void saveEnded(Outcome outcome, Optional<FailureReason> reason) {
        ended("save", outcome, word(reason)).increment();
    }

    /** Counts a restore that came to its end. */
    public void restoreEnded(Outcome outcome, Optional<FailureReason> reason) {
        ended("restore", outcome, word(reason)).increment();
    }

    /** Counts a try at a save that met trouble, whatever becomes of the save. */
    public void saveTrouble(FailureReason reason) {
        trouble("save", reason).increment();
    }

    /** Counts a try at a restore that met trouble, whatever becomes of the restore. */
    public void restoreTrouble(FailureReason reason) {
        trouble("restore", reason).increment();
    }

    /**
     * Takes note of a committed image.
     *
     * @param whole from the first look to the commit
     * @param writing QEMU's part of it
     * @param bytes what was written
     * @param compressed whether QEMU compressed them, so that the rate is its own and not that of the node
     */
    public void saved(Duration whole, Duration writing, long bytes, boolean compressed) {
        saveDuration.record(whole);
        writtenBytes.increment((double) bytes);
        double rate = rate(bytes, writing);
        saveThroughput.record(rate);
        lastSaveThroughput.set(Math.round(rate));
        if (bytes >= TELLING_BYTES && !compressed) {
            lastTellingRate.set(Math.round(rate));
        }
    }

    /** Returns bytes per second of the last save that was large enough to tell, and not compressed; 0 if there was none. */
    public long lastSaveRate() {
        return lastTellingRate.get();
    }

    /** Takes note of how long a guest was paused for a save. */
    public void paused(Duration duration) {
        savePaused.record(duration);
    }

    /** Counts a restore whose image was handed over, and how long that took. */
    public void loaded(Duration whole) {
        restoreDuration.record(whole);
    }

    /** Counts an image that was read as a whole. */
    public void read(Duration reading, long bytes) {
        readBytes.increment((double) bytes);
        restoreThroughput.record(rate(bytes, reading));
    }

    /** Counts a look at all pages of an image. */
    public void scanned(Scan scan, ScanEnd end) {
        scans(scan, end).increment();
    }

    /** Counts what a launcher was told. */
    public void answered(LauncherAnswer answer) {
        answers(answer).increment();
    }

    /** Counts a Lease that was not renewed. */
    public void leaseNotRenewed() {
        leaseFailures.increment();
    }

    /** Shows something that is counted elsewhere. */
    public void counter(String name, String help, LongSupplier count) {
        FunctionCounter.builder(name, count, LongSupplier::getAsLong)
                .description(help)
                .register(registry);
    }

    /** Shows a present value. */
    public void gauge(String name, String help, String unit, Supplier<Number> value) {
        gauge(name, help, unit, value, new String[0]);
    }

    /** Shows a present value with labels: names and values in turn. */
    public void gauge(String name, String help, String unit, Supplier<Number> value, String... labels) {
        Gauge.builder(name, value)
                .description(help)
                .baseUnit(unit.isEmpty() ? null : unit)
                .tags(labels)
                .register(registry);
    }

    private Counter ended(String what, Outcome outcome, String reason) {
        return Counter.builder("torpor.agent." + what + "s")
                .description("Ends of " + what + "s, by outcome and reason")
                .tag("outcome", outcome.name().toLowerCase(Locale.ROOT))
                .tag("reason", reason)
                .register(registry);
    }

    private Counter trouble(String what, FailureReason reason) {
        return Counter.builder("torpor.agent." + what + ".troubles")
                .description("Tries at a " + what + " that met trouble, by reason; most are tried again")
                .tag("reason", reason.name())
                .register(registry);
    }

    private Counter scans(Scan scan, ScanEnd end) {
        return Counter.builder("torpor.agent.image.scans")
                .description("Images whose pages were all looked at, by cause and outcome")
                .tag("cause", scan.name().toLowerCase(Locale.ROOT))
                .tag("outcome", end.name().toLowerCase(Locale.ROOT))
                .register(registry);
    }

    private Counter answers(LauncherAnswer answer) {
        return Counter.builder("torpor.agent.launcher.answers")
                .description("Answers to launchers, by kind")
                .tag("kind", answer.name().toLowerCase(Locale.ROOT))
                .register(registry);
    }

    private Timer duration(String name, String help) {
        return Timer.builder(name)
                .description(help)
                .serviceLevelObjectives(Registries.saveBuckets())
                .register(registry);
    }

    private Counter bytes(String name, String help) {
        return Counter.builder(name).description(help).baseUnit("bytes").register(registry);
    }

    private DistributionSummary throughput(String name, String help) {
        return DistributionSummary.builder(name)
                .description(help)
                .baseUnit("bytes_per_second")
                .serviceLevelObjectives(RATE_BUCKETS)
                .register(registry);
    }

    private static String word(Optional<FailureReason> reason) {
        return reason.map(Enum::name).orElse(NO_REASON);
    }

    private static double rate(long bytes, Duration duration) {
        return bytes * NANOS_PER_SECOND / Math.max(1, duration.toNanos());
    }
}
