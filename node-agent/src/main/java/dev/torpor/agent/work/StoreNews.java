package dev.torpor.agent.work;

import dev.torpor.failure.TorporException;

/** Tells the cluster what the node's store has. */
interface StoreNews {
    /**
     * Tells now; returns when the API server has it.
     *
     * @throws TorporException StoreUnavailable if it does not take it
     */
    void publish() throws TorporException;

    /** Tells in the background, and again later if that fails. */
    void soon();
}
