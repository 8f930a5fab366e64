package dev.torpor.agent.engine;

import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;

/**
 * A wish that work under way be given up, or at least done soon, looked at between steps. Thread-safe; the first reason
 * stays.
 */
public final class Cancellation {
    private final AtomicBoolean hurried = new AtomicBoolean();
    private final AtomicReference<Optional<TorporException>> wish = new AtomicReference<>(Optional.empty());

    /**
     * Asks for the end.
     *
     * @param reason Cancelled or DeadlineExceeded
     */
    public void request(FailureReason reason, String message) {
        wish.compareAndSet(Optional.empty(), Optional.of(new TorporException(reason, message)));
    }

    /**
     * Asks for speed: limits of bandwidth are lifted, the work goes on to its end.
     *
     * @return whether nobody had asked before
     */
    public boolean hurry() {
        return hurried.compareAndSet(false, true);
    }

    /** Tells whether limits of bandwidth stand in the way of what was asked for. */
    public boolean hurried() {
        return hurried.get() || requested();
    }

    /** Tells whether the end was asked for. */
    public boolean requested() {
        return wish.get().isPresent();
    }

    /** Returns why the end was asked for, if it was. */
    public Optional<String> why() {
        return wish.get().map(TorporException::getMessage);
    }

    /** Throws why the end was asked for, if it was. */
    public void check() throws TorporException {
        Optional<TorporException> why = wish.get();
        if (why.isPresent()) {
            throw why.get();
        }
    }
}
