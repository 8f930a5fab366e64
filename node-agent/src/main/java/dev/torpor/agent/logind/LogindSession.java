package dev.torpor.agent.logind;

import dev.torpor.agent.linux.Descriptor;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.temporal.ChronoUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import org.freedesktop.dbus.FileDescriptor;
import org.freedesktop.dbus.connections.IDisconnectCallback;
import org.freedesktop.dbus.connections.impl.DBusConnection;
import org.freedesktop.dbus.connections.impl.DBusConnectionBuilder;
import org.freedesktop.dbus.exceptions.DBusException;
import org.freedesktop.dbus.exceptions.DBusExecutionException;
import org.freedesktop.dbus.interfaces.Properties;
import org.freedesktop.dbus.types.UInt64;
import org.jspecify.annotations.Nullable;

/**
 * One connection to logind (org.freedesktop.login1(5)). Calls block until logind answers, or the library gives up after some
 * 20 s. It ends with the bus or with logind, and is not used again then.
 */
final class LogindSession implements AutoCloseable {
    private static final String SERVICE = "org.freedesktop.login1";
    private static final String OBJECT = "/org/freedesktop/login1";
    private static final String WHO = "torpor";

    private final DBusConnection connection;
    private final BusTransport transport;
    private final LogindManager manager;
    private final Properties properties;

    private LogindSession(DBusConnection connection, BusTransport transport) throws DBusException {
        this.connection = connection;
        this.transport = transport;
        manager = connection.getRemoteObject(SERVICE, OBJECT, LogindManager.class);
        properties = connection.getRemoteObject(SERVICE, OBJECT, Properties.class);
    }

    /**
     * Connects.
     *
     * @param bus path of the bus's socket
     * @param heard is told of each signal that says to be logind's word on a shutdown: a hint to ask, as anybody on the bus
     *     can send one
     * @param lost is told when the connection has ended without our doing
     * @throws IOException if there is no bus, or nobody that answers as logind
     */
    static LogindSession open(Path bus, Runnable heard, Consumer<String> lost) throws IOException {
        AtomicReference<@Nullable BusTransport> made = new AtomicReference<>();
        DBusConnection connection;
        try {
            connection = DBusConnectionBuilder.forAddress("unix:path=" + bus)
                    .withShared(false)
                    .withDisconnectCallback(new IDisconnectCallback() {
                        @Override
                        public void disconnectOnError(@Nullable IOException e) {
                            lost.accept(
                                    e == null ? "the bus has closed the connection" : String.valueOf(e.getMessage()));
                        }
                    })
                    .transportConfig()
                    .withPreConnectCallback(transport -> made.set((BusTransport) transport))
                    .back()
                    .build();
        } catch (DBusException | RuntimeException e) {
            throw new IOException("the bus " + bus + " cannot be used: " + e.getMessage(), e);
        }
        BusTransport transport = made.get();
        try {
            if (transport == null) {
                throw new IOException("another transport of D-Bus than ours is on the class path");
            }
            LogindSession session = new LogindSession(connection, transport);
            connection.addSigHandler(LogindManager.PrepareForShutdown.class, _ -> heard.run());
            return session;
        } catch (DBusException | DBusExecutionException | IOException e) {
            connection.disconnect();
            throw new IOException("logind does not answer on the bus " + bus + ": " + e.getMessage(), e);
        }
    }

    /**
     * Has logind wait before it shuts the machine down, no longer than {@link #delayMax}.
     *
     * @return the lock; closing it releases it. The kernel does so at the process's end.
     * @throws IOException if logind refuses, as it does while a shutdown is under way
     */
    Descriptor inhibit(String why) throws IOException {
        FileDescriptor lock = ask("Inhibit", () -> manager.Inhibit("shutdown", WHO, why, "delay"));
        return transport
                .channel()
                .claim(lock.getIntFileDescriptor())
                .orElseThrow(() -> new IOException("logind's lock has come without a descriptor"));
    }

    /** Returns how long logind waits for those who ask it to ({@code InhibitDelayMaxSec} of logind.conf(5)). */
    Duration delayMax() throws IOException {
        UInt64 micros = ask("InhibitDelayMaxUSec", () -> properties.Get(LogindManager.NAME, "InhibitDelayMaxUSec"));
        return Duration.of(micros.longValue(), ChronoUnit.MICROS);
    }

    /** Tells whether the machine is about to be shut down. */
    boolean preparing() throws IOException {
        boolean preparing =
                ask("PreparingForShutdown", () -> properties.Get(LogindManager.NAME, "PreparingForShutdown"));
        return preparing;
    }

    private interface Question<T> {
        T ask();
    }

    private static <T> T ask(String what, Question<T> question) throws IOException {
        try {
            return question.ask();
        } catch (DBusExecutionException | ClassCastException e) {
            throw new IOException("logind does not answer to " + what + ": " + e.getMessage(), e);
        }
    }

    @Override
    public void close() {
        connection.disconnect();
    }
}
