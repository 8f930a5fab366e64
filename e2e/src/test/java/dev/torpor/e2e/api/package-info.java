/** The API as a real API server serves it: what it accepts, refuses and prints. */
@NullMarked
package dev.torpor.e2e.api;

import org.jspecify.annotations.NullMarked;
