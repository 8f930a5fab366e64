@NullMarked
package dev.torpor.operator.scaledown;

import org.jspecify.annotations.NullMarked;
