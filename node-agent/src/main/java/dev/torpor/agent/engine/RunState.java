package dev.torpor.agent.engine;

/**
 * Run state of a VM, as query-status names it (qapi/run-state.json).
 *
 * @param status QEMU's name of the state
 * @param running whether the guest's vCPUs run
 */
public record RunState(String status, boolean running) {
    /** Was saved to its end while paused, and has not run since: QEMU refuses to save it once more. */
    public boolean savedAndNotRunSince() {
        return status.equals("postmigrate");
    }

    /** Waits for an incoming migration: started with {@code -incoming}. */
    public boolean incoming() {
        return status.equals("inmigrate");
    }
}
