@NullMarked
package dev.torpor.telemetry.log;

import org.jspecify.annotations.NullMarked;
