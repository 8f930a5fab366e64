package dev.torpor.operator.metrics;

import io.micrometer.core.instrument.Meter;
import io.micrometer.core.instrument.config.MeterFilter;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Gives the operator framework's metrics a HELP, and takes labels away that would name single objects. */
final class FrameworkMeters implements MeterFilter {
    private static final String PREFIX = "operator.sdk.";
    private static final Set<String> UNBOUNDED =
            Set.of("name", "namespace", "resource.name", "resource.namespace", "scope", "resource.scope");
    private static final Map<String, String> HELP = new LinkedHashMap<>();

    static {
        HELP.put("reconciliations.started", "Reconciliations that were begun");
        HELP.put("reconciliations.success", "Reconciliations that succeeded");
        HELP.put("reconciliations.failed", "Reconciliations that threw, by exception");
        HELP.put("reconciliations.retries.number", "Reconciliations that were repeated after a failure");
        HELP.put("reconciliations.retries.last", "Reconciliations that were not repeated any more");
        HELP.put("reconciliations.executions.", "Reconciliations that run");
        HELP.put("reconciliations.queue.size.", "Reconciliations that wait for a thread");
        HELP.put("events.received", "Events that woke a controller, by kind of event");
        HELP.put("events.delete", "Events of deleted objects");
        HELP.put("controllers.execution.reconcile.success", "Steps that succeeded, by what is done next");
        HELP.put("controllers.execution.reconcile.failure", "Steps that threw, by exception");
        HELP.put("controllers.execution.reconcile", "Time of a step");
        HELP.put("controllers.execution.cleanup.success", "Cleanups that succeeded, by what is done next");
        HELP.put("controllers.execution.cleanup.failure", "Cleanups that threw, by exception");
        HELP.put("controllers.execution.cleanup", "Time of a cleanup");
    }

    @Override
    public Meter.Id map(Meter.Id id) {
        if (!id.getName().startsWith(PREFIX)) {
            return id;
        }
        List<io.micrometer.core.instrument.Tag> tags = id.getTags().stream()
                .filter(tag -> !UNBOUNDED.contains(tag.getKey()))
                .toList();
        return new Meter.Id(
                id.getName(),
                io.micrometer.core.instrument.Tags.of(tags),
                id.getBaseUnit(),
                help(id.getName().substring(PREFIX.length())),
                id.getType());
    }

    private static String help(String name) {
        for (Map.Entry<String, String> entry : HELP.entrySet()) {
            if (name.equals(entry.getKey()) || (entry.getKey().endsWith(".") && name.startsWith(entry.getKey()))) {
                return entry.getValue();
            }
        }
        return "Of the operator framework";
    }
}
