/**
 * The controller of VMSnapshots. One run reads the situation from the API server ({@code SnapshotObserver}), decides
 * without side effect ({@code SnapshotDecision}), acts, and writes the operator's part of status if it changed.
 *
 * <pre>
 * Pending --> Bound --> Saving --> Saved --> Ready <--> Resuming --> Consumed
 *    |          |          |      (Save only)
 *    +----------+----------+--> Failed, Cancelled
 * </pre>
 *
 * Imports {@code vm} and {@code event}; knows nothing of the restore controller.
 */
@NullMarked
package dev.torpor.operator.snapshot;

import org.jspecify.annotations.NullMarked;
