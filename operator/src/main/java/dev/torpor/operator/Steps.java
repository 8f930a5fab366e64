package dev.torpor.operator;

import dev.torpor.telemetry.log.LogScope;
import dev.torpor.telemetry.log.ObjectRef;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.javaoperatorsdk.operator.api.monitoring.Metrics;
import io.javaoperatorsdk.operator.api.reconciler.Constants;
import io.javaoperatorsdk.operator.api.reconciler.RetryInfo;
import io.javaoperatorsdk.operator.processing.Controller;
import io.javaoperatorsdk.operator.processing.GroupVersionKind;
import io.javaoperatorsdk.operator.processing.event.Event;
import io.javaoperatorsdk.operator.processing.event.ResourceID;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * Stands around each step of a controller, where the framework lets one: gives its log lines the identity of the object,
 * notices steps that do not end, and passes everything on to what counts. Thread-safe.
 */
final class Steps implements Metrics {
    // A step is a handful of API calls, each given up after some seconds.
    private static final Duration STUCK = Duration.ofMinutes(5);

    private final Metrics counts;
    private final InstantSource clock;
    private final Map<Key, Integer> attempts = new ConcurrentHashMap<>();
    private final Map<Key, Instant> running = new ConcurrentHashMap<>();

    private record Key(String kind, ResourceID id) {
        @Override
        public String toString() {
            return kind + " " + id.getNamespace().orElse("") + "/" + id.getName();
        }
    }

    Steps(Metrics counts, InstantSource clock) {
        this.counts = counts;
        this.clock = clock;
    }

    /** Returns which step does not end; empty if all do. */
    Optional<String> stuck() {
        Instant before = clock.instant().minus(STUCK);
        return running.entrySet().stream()
                .filter(step -> step.getValue().isBefore(before))
                .findAny()
                .map(step -> "the step of " + step.getKey() + " has not ended since " + step.getValue());
    }

    @Override
    public <T> T timeControllerExecution(ControllerExecution<T> execution) throws Exception {
        Key key = new Key(kind(execution.metadata()), execution.resourceID());
        ObjectRef object = new ObjectRef(
                key.kind, key.id.getNamespace().orElse(""), key.id.getName(), Optional.ofNullable(frameworksUid()));
        running.put(key, clock.instant());
        try (LogScope _ = LogScope.of(object, attempts.getOrDefault(key, 1))) {
            return counts.timeControllerExecution(execution);
        } finally {
            running.remove(key);
        }
    }

    @Override
    public void reconcileCustomResource(HasMetadata object, @Nullable RetryInfo retry, Map<String, Object> metadata) {
        Key key = new Key(object.getKind(), ResourceID.fromResource(object));
        if (retry == null) {
            attempts.remove(key);
        } else {
            attempts.put(key, retry.getAttemptCount() + 1);
        }
        counts.reconcileCustomResource(object, retry, metadata);
    }

    @Override
    public void cleanupDoneFor(ResourceID id, Map<String, Object> metadata) {
        attempts.remove(new Key(kind(metadata), id));
        counts.cleanupDoneFor(id, metadata);
    }

    @Override
    public void finishedReconciliation(HasMetadata object, Map<String, Object> metadata) {
        attempts.remove(new Key(object.getKind(), ResourceID.fromResource(object)));
        counts.finishedReconciliation(object, metadata);
    }

    @Override
    public void controllerRegistered(Controller<? extends HasMetadata> controller) {
        counts.controllerRegistered(controller);
    }

    @Override
    public void receivedEvent(Event event, Map<String, Object> metadata) {
        counts.receivedEvent(event, metadata);
    }

    @Override
    public void failedReconciliation(HasMetadata object, Exception exception, Map<String, Object> metadata) {
        counts.failedReconciliation(object, exception, metadata);
    }

    @Override
    public void reconciliationExecutionStarted(HasMetadata object, Map<String, Object> metadata) {
        counts.reconciliationExecutionStarted(object, metadata);
    }

    @Override
    public void reconciliationExecutionFinished(HasMetadata object, Map<String, Object> metadata) {
        counts.reconciliationExecutionFinished(object, metadata);
    }

    @Override
    public <T extends Map<?, ?>> T monitorSizeOf(T map, String name) {
        return counts.monitorSizeOf(map, name);
    }

    private static String kind(Map<String, Object> metadata) {
        return metadata.get(Constants.RESOURCE_GVK_KEY) instanceof GroupVersionKind gvk ? gvk.getKind() : "object";
    }

    // The framework has read the object for this step, and says so to the log.
    private static @Nullable String frameworksUid() {
        return org.slf4j.MDC.get("resource.uid");
    }
}
