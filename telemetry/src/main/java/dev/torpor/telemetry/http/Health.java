package dev.torpor.telemetry.http;

import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentSkipListMap;

/** Checks by their names, all of which must hold. Thread-safe. */
public final class Health {
    private final Map<String, HealthCheck> checks = new ConcurrentSkipListMap<>();

    /** The outcome, with one line for each check. */
    record Report(boolean healthy, String text) {}

    /**
     * Adds a check.
     *
     * @throws IllegalArgumentException if there is one of this name
     */
    public Health with(String name, HealthCheck check) {
        if (checks.putIfAbsent(name, check) != null) {
            throw new IllegalArgumentException("there is a check " + name + " already");
        }
        return this;
    }

    Report report() {
        StringBuilder text = new StringBuilder();
        boolean healthy = true;
        for (Map.Entry<String, HealthCheck> entry : checks.entrySet()) {
            Optional<String> problem = problem(entry.getValue());
            healthy &= problem.isEmpty();
            text.append(entry.getKey())
                    .append(": ")
                    .append(problem.orElse("ok").replaceAll("\\s+", " "))
                    .append('\n');
        }
        return new Report(healthy, text.toString());
    }

    private static Optional<String> problem(HealthCheck check) {
        try {
            return check.problem();
        } catch (RuntimeException e) {
            return Optional.of("cannot be told: " + e);
        }
    }
}
