package dev.torpor.telemetry.http;

import java.util.Optional;

/** Something that must hold. */
public interface HealthCheck {
    /** Returns what is wrong, in words for a person; empty if all is well. Answers at once: it waits for nothing. */
    Optional<String> problem();
}
