@NullMarked
package dev.torpor.operator.event;

import org.jspecify.annotations.NullMarked;
