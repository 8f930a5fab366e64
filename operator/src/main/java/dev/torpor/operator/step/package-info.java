/** The operator's steps by name. Knows no other part of the operator. */
@NullMarked
package dev.torpor.operator.step;

import org.jspecify.annotations.NullMarked;
