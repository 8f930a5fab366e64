/**
 * Lets go of pods that are held for a managed image when none waits any more. Imports what the controllers share; knows
 * neither of them.
 */
@NullMarked
package dev.torpor.operator.gate;

import org.jspecify.annotations.NullMarked;
