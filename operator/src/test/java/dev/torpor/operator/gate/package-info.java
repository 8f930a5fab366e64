@NullMarked
package dev.torpor.operator.gate;

import org.jspecify.annotations.NullMarked;
