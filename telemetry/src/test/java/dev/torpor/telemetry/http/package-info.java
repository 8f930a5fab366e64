@NullMarked
package dev.torpor.telemetry.http;

import org.jspecify.annotations.NullMarked;
