@NullMarked
package dev.torpor.operator.drain;

import org.jspecify.annotations.NullMarked;
