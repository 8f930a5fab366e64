@NullMarked
package dev.torpor.operator.admission;

import org.jspecify.annotations.NullMarked;
