package dev.torpor.agent.work;

import dev.torpor.agent.engine.RunState;

/** What a pod's condition {@code torpor.dev/guest-running} says, and why. The names of reasons are API. */
enum GuestState {
    /** The guest's vCPUs run. */
    RUNNING(true, "Running", "the guest runs"),
    /** No QEMU of the pod answers: its launcher waits for an answer, or QEMU has not come up or has ended. */
    STARTING(false, "Starting", "QEMU does not run yet; the launcher's log says what it waits for"),
    /** QEMU waits for an image, or reads it. */
    LOADING(false, "Loading", "QEMU is being given the VM's memory"),
    /** The guest is about to be paused, or is, for a save. */
    SAVING(false, "Saving", "the guest is paused while its memory is saved"),
    /** Something else holds the guest: its owner, an error of a disk, a panic. */
    PAUSED(false, "Paused", "the guest is stopped, and not by Torpor");

    private final boolean running;
    private final String reason;
    private final String message;

    GuestState(boolean running, String reason, String message) {
        this.running = running;
        this.reason = reason;
        this.message = message;
    }

    static GuestState of(RunState state) {
        if (state.running()) {
            return RUNNING;
        }
        return state.incoming() ? LOADING : PAUSED;
    }

    boolean running() {
        return running;
    }

    String reason() {
        return reason;
    }

    String message() {
        return message;
    }
}
