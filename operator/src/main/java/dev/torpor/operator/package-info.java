/**
 * The operator's process: its configuration, leader election and the wiring of its two controllers. Imports all other
 * packages of the operator; none imports this one.
 */
@NullMarked
package dev.torpor.operator;

import org.jspecify.annotations.NullMarked;
