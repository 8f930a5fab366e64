@NullMarked
package dev.torpor.operator.vm;

import org.jspecify.annotations.NullMarked;
