package dev.torpor.operator.metrics;

import io.micrometer.core.instrument.Meter;
import io.micrometer.core.instrument.Tag;
import io.micrometer.core.instrument.Tags;
import io.micrometer.core.instrument.config.MeterFilter;
import java.util.ArrayList;
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
        List<Tag> tags = new ArrayList<>(id.getTags());
        tags.removeIf(tag -> UNBOUNDED.contains(tag.getKey()));
        nameCoreGroup(tags, "kind", "group");
        nameCoreGroup(tags, "resource.kind", "resource.group");
        return new Meter.Id(
                id.getName(),
                Tags.of(tags),
                id.getBaseUnit(),
                help(id.getName().substring(PREFIX.length())),
                id.getType());
    }

    // Kinds of the core group come without the label. All meters of a name must have the same labels: of others than
    // the
    // first one nothing would be counted.
    private static void nameCoreGroup(List<Tag> tags, String kind, String group) {
        boolean hasKind = tags.stream().anyMatch(tag -> tag.getKey().equals(kind));
        boolean hasGroup = tags.stream().anyMatch(tag -> tag.getKey().equals(group));
        if (hasKind && !hasGroup) {
            tags.add(Tag.of(group, "core"));
        }
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
