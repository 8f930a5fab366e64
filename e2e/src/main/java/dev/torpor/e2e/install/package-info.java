/**
 * Torpor as people install it: its chart, by way of helm, on a cluster that somebody else has started. Knows the names of
 * the chart's objects and nothing of what its processes do.
 */
@NullMarked
package dev.torpor.e2e.install;

import org.jspecify.annotations.NullMarked;
