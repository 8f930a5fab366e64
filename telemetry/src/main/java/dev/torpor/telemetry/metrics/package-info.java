/** What the metrics of both processes have in common: the registry, and what the JVM says of itself. */
@NullMarked
package dev.torpor.telemetry.metrics;

import org.jspecify.annotations.NullMarked;
