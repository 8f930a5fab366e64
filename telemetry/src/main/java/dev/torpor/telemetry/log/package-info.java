/**
 * How both processes write their logs: as text for people or as one JSON object a line, with the identity of the object
 * that a line belongs to. Owns the logging backend: nothing else configures it.
 */
@NullMarked
package dev.torpor.telemetry.log;

import org.jspecify.annotations.NullMarked;
