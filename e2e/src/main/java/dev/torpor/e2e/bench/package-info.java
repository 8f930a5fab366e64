/**
 * Benchmarks: the agent's saves and restores beside QEMU driven by hand with the same parameters and beside fio, in turn,
 * in one run, on the same data. Reports ratios; asserts nothing.
 */
@NullMarked
package dev.torpor.e2e.bench;

import org.jspecify.annotations.NullMarked;
