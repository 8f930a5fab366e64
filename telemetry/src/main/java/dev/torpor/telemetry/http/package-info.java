/** A process's HTTP port: whether it is alive and ready, and its metrics. Knows nothing of what is checked or counted. */
@NullMarked
package dev.torpor.telemetry.http;

import org.jspecify.annotations.NullMarked;
