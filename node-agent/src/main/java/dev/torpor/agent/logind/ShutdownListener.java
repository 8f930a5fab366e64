package dev.torpor.agent.logind;

import java.time.Duration;

/** Who wants to do something before the machine goes down. Called from a thread of its own; neither call may block for long. */
public interface ShutdownListener {
    /**
     * The machine is about to be shut down.
     *
     * @param wait how long logind waits for us, from now; zero if it does not
     * @param done is to be run when it need not wait any longer
     */
    void begins(Duration wait, Runnable done);

    /** The machine is not shut down after all, or not for now. */
    void cancelled();
}
