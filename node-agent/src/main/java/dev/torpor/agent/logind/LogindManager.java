package dev.torpor.agent.logind;

import org.freedesktop.dbus.FileDescriptor;
import org.freedesktop.dbus.annotations.DBusInterfaceName;
import org.freedesktop.dbus.exceptions.DBusException;
import org.freedesktop.dbus.interfaces.DBusInterface;
import org.freedesktop.dbus.messages.DBusSignal;

/** What we use of {@code org.freedesktop.login1.Manager} (org.freedesktop.login1(5)). */
@DBusInterfaceName(LogindManager.NAME)
public interface LogindManager extends DBusInterface {
    String NAME = "org.freedesktop.login1.Manager";

    /**
     * Takes an inhibitor lock.
     *
     * @param what kinds of shutdown, with colons between them
     * @param who the program, for people
     * @param why in words
     * @param mode {@code block} or {@code delay}
     * @return the lock: it is released when this and all copies are closed
     */
    FileDescriptor Inhibit(String what, String who, String why, String mode);

    /** The machine is about to be shut down (true), or a shutdown has come to its end or was given up (false). */
    final class PrepareForShutdown extends DBusSignal {
        private final boolean begins;

        public PrepareForShutdown(String path, boolean begins) throws DBusException {
            super(path, begins);
            this.begins = begins;
        }

        /** Tells whether the machine is about to be shut down. */
        public boolean begins() {
            return begins;
        }
    }
}
