package dev.torpor.agent.engine;

import com.fasterxml.jackson.databind.JsonNode;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpCommand;
import dev.torpor.agent.qmp.QmpCommandException;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.util.List;
import java.util.Map;

/** Stops and continues the guest, and proves that it took: the answer to a command proves nothing. */
public final class Guest {
    private static final QmpCommand CONTINUE = QmpCommand.of("cont");
    private static final QmpCommand STATUS = QmpCommand.of("query-status");

    private Guest() {}

    /** Returns the run state. */
    public static RunState runState(QmpClient qmp) throws TorporException {
        return runState(qmp.execute("query-status"));
    }

    static RunState runState(JsonNode status) {
        return new RunState(
                status.path("status").asText(), status.path("running").asBoolean());
    }

    /**
     * Stops the guest's vCPUs; a guest that does not run stays as it is.
     *
     * @return whether it ran before
     * @throws TorporException QMPCommandFailed if it still runs afterwards
     */
    public static boolean pause(QmpClient qmp) throws TorporException {
        boolean ran = runState(qmp).running();
        if (ran) {
            qmp.execute("stop");
            RunState now = runState(qmp);
            if (now.running()) {
                throw new TorporException(FailureReason.QMPCommandFailed, "the guest runs on after stop");
            }
        }
        return ran;
    }

    /**
     * Lets the guest run.
     *
     * @throws TorporException DiskLocked if another process has one of its disks; QMPCommandFailed if it does not run afterwards (after a failed load, QEMU answers
     *     {@code cont} with success and does nothing)
     */
    public static void resume(QmpClient qmp) throws TorporException {
        Answers answers = Answers.to(qmp, List.of(CONTINUE, STATUS));
        try {
            var _ = answers.to(CONTINUE);
        } catch (QmpCommandException e) {
            throw Disks.orLocked(e);
        }
        RunState now = runState(answers.to(STATUS));
        if (!now.running()) {
            throw new TorporException(
                    FailureReason.QMPCommandFailed, "the guest does not run after cont: its state is " + now.status());
        }
    }

    /**
     * Presses the machine's power button (system_powerdown). A guest that listens shuts itself down, and QEMU ends then;
     * another one takes no notice.
     */
    public static void pressPowerButton(QmpClient qmp) throws TorporException {
        qmp.execute("system_powerdown");
    }

    /** Ends the QEMU process. Its closing the monitor before it answers is success. */
    public static void quit(QmpClient qmp) throws TorporException {
        try {
            qmp.execute("quit");
        } catch (TorporException e) {
            if (e.reason() != FailureReason.QEMUGone) {
                throw e;
            }
        }
    }

    /**
     * Has QEMU announce the guest's network cards from where it runs now, so that switches and neighbours learn
     * (announce-self, QEMU 4.0).
     */
    public static void announce(QmpClient qmp) throws TorporException {
        // QEMU's own defaults after a migration: five rounds, from 50 ms, 100 ms more each, at most 550 ms.
        qmp.execute("announce-self", Map.of("initial", 50, "max", 550, "rounds", 5, "step", 100));
    }
}
