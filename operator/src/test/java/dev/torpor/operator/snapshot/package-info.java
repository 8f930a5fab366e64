@NullMarked
package dev.torpor.operator.snapshot;

import org.jspecify.annotations.NullMarked;
