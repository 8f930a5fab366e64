/** The work tree that tests, demo and benchmarks run in: where it is, and the scripts in its {@code tools}. */
@NullMarked
package dev.torpor.e2e.tree;

import org.jspecify.annotations.NullMarked;
