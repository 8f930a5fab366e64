@NullMarked
package dev.torpor.telemetry.metrics;

import org.jspecify.annotations.NullMarked;
