/**
 * The controller of VMRestores, which bring a VM back in place, under its own name. One run reads the situation from the
 * API server ({@code RestoreObserver}), decides without side effect ({@code RestoreDecision}), acts, and writes the
 * operator's part of status if it changed.
 *
 * <pre>
 * Pending --> Starting --> Loading --> Running
 *    |           |            |
 *    +-----------+------------+-----> Failed (the image is safe)
 * </pre>
 *
 * Imports {@code vm} and {@code event}; knows nothing of the snapshot controller.
 */
@NullMarked
package dev.torpor.operator.restore;

import org.jspecify.annotations.NullMarked;
