/** Operators that end in the middle, and those that follow them. */
@NullMarked
package dev.torpor.operator.death;

import org.jspecify.annotations.NullMarked;
