@NullMarked
package dev.torpor.telemetry;

import org.jspecify.annotations.NullMarked;
