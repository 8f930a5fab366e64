package dev.torpor.operator.metrics;

import dev.torpor.telemetry.metrics.Registries;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MultiGauge;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;

/** The operator's metrics; docs/metrics.md lists them all. Thread-safe once everything is watched. */
public final class OperatorMetrics {
    private static final double MILLIS_PER_SECOND = 1000;

    private final PrometheusMeterRegistry registry = Registries.create();
    private final MultiGauge objects;
    private final MultiGauge stalled;
    private final List<ObjectCount<?>> counts = new ArrayList<>();
    private volatile Supplier<Optional<Instant>> certificateExpiry = Optional::empty;

    /** What a webhook answered. */
    public enum Admission {
        /** As it was. */
        ALLOWED,
        /** With changes. */
        MUTATED,
        /** Not. */
        DENIED,
        /** Nothing, for a failure of ours. */
        FAILED
    }

    public OperatorMetrics() {
        registry.config().meterFilter(new FrameworkMeters());
        objects = MultiGauge.builder("torpor.operator.objects")
                .description("Objects in the cluster, by kind and phase")
                .register(registry);
        stalled = MultiGauge.builder("torpor.operator.objects.stalled")
                .description("Objects that failed for good or can no longer be restored, by kind and reason")
                .register(registry);
        Gauge.builder("torpor.operator.webhook.certificate.expiry.timestamp", this::certificateExpirySeconds)
                .description(
                        "When the certificate of the webhooks expires, in seconds since 1970; NaN without webhooks")
                .baseUnit("seconds")
                .register(registry);
        for (Admission admission : Admission.values()) {
            var _ = admissions(admission);
        }
    }

    /** Returns where other libraries register what they count. */
    public PrometheusMeterRegistry registry() {
        return registry;
    }

    /** Shows the objects of a kind. Everything is to be watched before the first scrape. */
    public void watch(ObjectCount<?> count) {
        counts.add(count);
    }

    /** Shows whether this process leads. */
    public void leadership(BooleanSupplier leads) {
        Gauge.builder("torpor.operator.leader", () -> leads.getAsBoolean() ? 1 : 0)
                .description("1 in the process that leads, 0 in those that stand by")
                .register(registry);
    }

    /** Shows when the certificate that the webhooks serve expires; empty while there is none. */
    public void certificateExpiry(Supplier<Optional<Instant>> expiry) {
        certificateExpiry = expiry;
    }

    /** Counts what a webhook answered. */
    public void admitted(Admission admission) {
        admissions(admission).increment();
    }

    /** Writes all metrics as Prometheus' text format. */
    public String scrape() {
        List<MultiGauge.Row<?>> phases = new ArrayList<>();
        List<MultiGauge.Row<?>> reasons = new ArrayList<>();
        for (ObjectCount<?> count : counts) {
            ObjectCount.Counted now = count.now();
            now.byPhase().forEach((phase, n) -> phases.add(row(count.kind(), "phase", phase, n)));
            now.byStalledReason().forEach((reason, n) -> reasons.add(row(count.kind(), "reason", reason, n)));
        }
        objects.register(phases, true);
        stalled.register(reasons, true);
        return registry.scrape();
    }

    private static MultiGauge.Row<?> row(String kind, String label, String value, long n) {
        return MultiGauge.Row.of(io.micrometer.core.instrument.Tags.of("kind", kind, label, value), n);
    }

    private Counter admissions(Admission admission) {
        return Counter.builder("torpor.operator.admissions")
                .description("Answers of the webhooks, by decision")
                .tag("decision", admission.name().toLowerCase(Locale.ROOT))
                .register(registry);
    }

    private double certificateExpirySeconds() {
        return certificateExpiry
                .get()
                .map(instant -> instant.toEpochMilli() / MILLIS_PER_SECOND)
                .orElse(Double.NaN);
    }
}
