package dev.torpor.telemetry.log;

import java.util.Optional;

/**
 * What a log line is about.
 *
 * @param kind such as VMSnapshot
 * @param namespace its namespace
 * @param name its name
 * @param uid its UID, where it is known yet
 */
public record ObjectRef(String kind, String namespace, String name, Optional<String> uid) {}
