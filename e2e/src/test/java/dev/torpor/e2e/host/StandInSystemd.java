package dev.torpor.e2e.host;

import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import org.freedesktop.dbus.DBusPath;
import org.freedesktop.dbus.annotations.DBusInterfaceName;
import org.freedesktop.dbus.connections.impl.DBusConnection;
import org.freedesktop.dbus.connections.impl.DBusConnectionBuilder;
import org.freedesktop.dbus.exceptions.DBusException;
import org.freedesktop.dbus.interfaces.DBusInterface;
import org.freedesktop.dbus.interfaces.Properties;
import org.freedesktop.dbus.messages.DBusSignal;
import org.freedesktop.dbus.types.UInt32;
import org.freedesktop.dbus.types.Variant;

/**
 * Stands in for systemd on a bus, so that a real logind finds somebody to give a shutdown to: takes the job, and does
 * nothing ({@code org.freedesktop.systemd1(5)}).
 */
final class StandInSystemd implements AutoCloseable {
    private static final String MANAGER = "/org/freedesktop/systemd1";

    private final DBusConnection connection;
    private final AtomicInteger jobs = new AtomicInteger();

    /** What logind asks systemd for. */
    @DBusInterfaceName("org.freedesktop.systemd1.Manager")
    public interface Manager extends DBusInterface {
        /** Begins to start a unit, and returns the job. */
        DBusPath StartUnit(String name, String mode);

        /** A job has ended. */
        final class JobRemoved extends DBusSignal {
            public JobRemoved(String path, UInt32 id, DBusPath job, String unit, String result) throws DBusException {
                super(path, id, job, unit, result);
            }
        }
    }

    private final class Jobs implements Manager {
        @Override
        public DBusPath StartUnit(String name, String mode) {
            return job(jobs.incrementAndGet());
        }

        @Override
        public String getObjectPath() {
            return MANAGER;
        }
    }

    /** The units that a shutdown goes to: all of them are there. */
    private record Unit(String path) implements Properties {
        @Override
        @SuppressWarnings({"unchecked", "TypeParameterUnusedInFormals"}) // The library's own.
        public <A> A Get(String type, String name) {
            return (A) new Variant<>(name.equals("LoadState") ? "loaded" : "inactive");
        }

        @Override
        public <A> void Set(String type, String name, A value) {
            throw new UnsupportedOperationException(name);
        }

        @Override
        public Map<String, Variant<?>> GetAll(String type) {
            return Map.of("LoadState", new Variant<>("loaded"), "ActiveState", new Variant<>("inactive"));
        }

        @Override
        public String getObjectPath() {
            return path;
        }
    }

    StandInSystemd(Path bus) throws DBusException {
        connection = DBusConnectionBuilder.forAddress("unix:path=" + bus)
                .withShared(false)
                .build();
        connection.exportObject(MANAGER, new Jobs());
        for (String target : new String[] {"reboot", "poweroff"}) {
            String path = MANAGER + "/unit/" + target + "_2etarget";
            connection.exportObject(path, new Unit(path));
        }
        connection.requestBusName("org.freedesktop.systemd1");
    }

    /** Returns how often logind had the machine shut down. */
    int shutdowns() {
        return jobs.get();
    }

    /** Gives up the last shutdown, as {@code systemctl cancel} does. */
    void cancelLast() throws DBusException {
        int last = jobs.get();
        connection.sendMessage(
                new Manager.JobRemoved(MANAGER, new UInt32(last), job(last), "reboot.target", "canceled"));
    }

    private static DBusPath job(int number) {
        return new DBusPath(MANAGER + "/job/" + number);
    }

    @Override
    public void close() {
        connection.disconnect();
    }
}
