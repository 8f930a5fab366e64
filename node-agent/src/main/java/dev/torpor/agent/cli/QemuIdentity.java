package dev.torpor.agent.cli;

import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.agent.linux.Proc;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;

/** Finds out which process a monitor belongs to. */
final class QemuIdentity {
    private QemuIdentity() {}

    /**
     * Returns the process behind a monitor.
     *
     * @throws TorporException QEMUGone if it is not visible here
     */
    static ProcessIdentity of(QmpClient qmp) throws TorporException {
        try {
            int pid = qmp.peer().pid();
            long ticks = Proc.startTicks(pid)
                    .orElseThrow(() -> new TorporException(
                            FailureReason.QEMUGone, "the process of QEMU, " + pid + ", is not to be seen"));
            return new ProcessIdentity("", "", Proc.bootId(), pid, ticks);
        } catch (IOException e) {
            throw new TorporException(FailureReason.Internal, "the process of QEMU cannot be looked at", e);
        }
    }
}
