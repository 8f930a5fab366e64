package dev.torpor.agent.qmp;

import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.Serial;

/** QEMU answered a command with an error. */
public final class QmpCommandException extends TorporException {
    @Serial
    private static final long serialVersionUID = 1L;

    private final String command;
    private final String errorClass;
    private final String description;

    QmpCommandException(String command, String errorClass, String description) {
        super(FailureReason.QMPCommandFailed, "QEMU refused " + command + ": " + description);
        this.command = command;
        this.errorClass = errorClass;
        this.description = description;
    }

    /** Returns the command. */
    public String command() {
        return command;
    }

    /** Returns QEMU's class of the error, such as CommandNotFound; mostly GenericError. */
    public String errorClass() {
        return errorClass;
    }

    /** Returns QEMU's sentence. For people: its text is no interface. */
    public String description() {
        return description;
    }

    /** Tells whether this QEMU does not know the command. */
    public boolean commandNotFound() {
        return errorClass.equals("CommandNotFound");
    }
}
