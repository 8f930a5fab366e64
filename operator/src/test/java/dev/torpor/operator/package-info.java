@NullMarked
package dev.torpor.operator;

import org.jspecify.annotations.NullMarked;
