package dev.torpor.agent.work;

import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;

/** Counts what would be told; refuses it if it was told to. */
final class FakeNews implements StoreNews {
    int published;
    boolean refuse;

    @Override
    public void publish() throws TorporException {
        if (refuse) {
            throw new TorporException(FailureReason.StoreUnavailable, "refused by the test");
        }
        published++;
    }

    @Override
    public void soon() {}
}
