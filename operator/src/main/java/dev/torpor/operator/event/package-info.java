/** Kubernetes Events of the operator: stable reasons, repeats folded into one. Knows no controller. */
@NullMarked
package dev.torpor.operator.event;

import org.jspecify.annotations.NullMarked;
