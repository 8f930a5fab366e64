/** Keeps autoscalers off nodes that have the only memory of VMs. */
@NullMarked
package dev.torpor.operator.scaledown;

import org.jspecify.annotations.NullMarked;
