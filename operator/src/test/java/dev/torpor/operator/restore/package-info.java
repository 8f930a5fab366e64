@NullMarked
package dev.torpor.operator.restore;

import org.jspecify.annotations.NullMarked;
