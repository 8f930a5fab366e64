/**
 * What the operator counts and shows. Knows the API's types and no other part of the operator: others tell it what
 * happened. No label names a VM or an object, so that the number of series stays small.
 */
@NullMarked
package dev.torpor.operator.metrics;

import org.jspecify.annotations.NullMarked;
