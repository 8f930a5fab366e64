package dev.torpor.e2e.host;

import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.cluster.Child;
import dev.torpor.e2e.cluster.Command;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.freedesktop.dbus.exceptions.DBusException;

/**
 * What a node has of a system that can be shut down: a D-Bus and a logind, both real, beside the machine's own and without
 * effect on it; systemd itself is stood in for ({@link StandInSystemd}). logind has a {@code /run} of its own, which outlives
 * it, as inhibitor locks are to.
 */
public final class StandInHost implements AutoCloseable {
    private static final Duration PATIENCE = Duration.ofSeconds(90);
    private static final String LOGIND = "/lib/systemd/systemd-logind";
    private static final String CONFIGURATION = """
            <!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
              "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
            <busconfig>
              <type>system</type>
              <listen>unix:path=SOCKET</listen>
              <auth>EXTERNAL</auth>
              <policy context="default">
                <allow user="*"/>
                <allow own="*"/>
                <allow send_type="method_call"/>
                <allow send_type="signal"/>
                <allow send_requested_reply="true" send_type="method_return"/>
                <allow send_requested_reply="true" send_type="error"/>
                <allow receive_type="method_call"/>
                <allow receive_type="method_return"/>
                <allow receive_type="error"/>
                <allow receive_type="signal"/>
              </policy>
            </busconfig>
            """;

    private final Path folder;
    private final Path bus;
    private Child daemon;
    private StandInSystemd systemd;
    private Child logind;

    /**
     * Starts all three.
     *
     * @param folder for everything that they write
     * @param waitSeconds how long logind waits for those who hold its locks
     */
    public StandInHost(Path folder, int waitSeconds) throws IOException, DBusException {
        this.folder = Files.createDirectories(folder);
        bus = folder.resolve("system_bus_socket");
        Path settings = Files.createDirectories(folder.resolve("run/systemd/logind.conf.d"));
        Files.writeString(settings.resolve("wait.conf"), "[Login]\nInhibitDelayMaxSec=" + waitSeconds + "\n");
        Files.writeString(folder.resolve("bus.conf"), CONFIGURATION.replace("SOCKET", bus.toString()));
        daemon = startBus();
        systemd = new StandInSystemd(bus);
        logind = startLogind();
    }

    private Child startBus() {
        Child started = Child.start(
                "dbus-daemon",
                folder.resolve("bus.log"),
                Map.of(),
                List.of("dbus-daemon", "--config-file=" + folder.resolve("bus.conf"), "--nofork", "--nopidfile"));
        await("the bus").atMost(PATIENCE).until(() -> {
            started.requireAlive();
            return Files.exists(bus) && call("org.freedesktop.DBus", "/", "org.freedesktop.DBus.Peer", "Ping");
        });
        return started;
    }

    private Child startLogind() {
        Child started = Child.start(
                "logind",
                folder.resolve("logind.log"),
                Map.of("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=" + bus, "SYSTEMD_LOG_TARGET", "console"),
                List.of(
                        "unshare",
                        "--mount",
                        "/bin/sh",
                        "-ec",
                        "mount --bind \"$1\" /run; exec " + LOGIND,
                        "sh",
                        folder.resolve("run").toString()));
        await("logind").atMost(PATIENCE).until(() -> {
            started.requireAlive();
            return busctl("--quiet", "status", "org.freedesktop.login1");
        });
        return started;
    }

    /** Returns the socket of the bus. */
    public Path bus() {
        return bus;
    }

    /** Returns how often logind had the machine shut down, after whatever it waited for. */
    public int shutdowns() {
        return systemd.shutdowns();
    }

    /** Has the machine rebooted. */
    public void reboot() {
        manager("Reboot", "b", "false");
    }

    /** Gives up a reboot that logind has begun. */
    public void cancelReboot() throws DBusException {
        systemd.cancelLast();
    }

    /** Returns logind's list of those that hold its locks, as busctl prints it. */
    public String inhibitors() {
        return Command.run(
                "busctl",
                "--address=unix:path=" + bus,
                "call",
                "org.freedesktop.login1",
                "/org/freedesktop/login1",
                "org.freedesktop.login1.Manager",
                "ListInhibitors");
    }

    /** Tells whether a shutdown would wait for Torpor, as logind says. */
    public boolean isInhibited() {
        return inhibitors().contains("\"torpor\"");
    }

    /** Ends logind and starts another, which knows nothing of a shutdown that was to begin. */
    public void restartLogind() {
        logind.kill();
        logind = startLogind();
    }

    /** Ends the bus, and with it logind. */
    public void stopBus() throws IOException {
        systemd.close();
        logind.kill();
        daemon.kill();
        Files.deleteIfExists(bus);
    }

    /** Starts what {@link #stopBus} ended. */
    public void startBusAgain() throws DBusException {
        daemon = startBus();
        systemd = new StandInSystemd(bus);
        logind = startLogind();
    }

    private void manager(String method, String... arguments) {
        if (!call(
                "org.freedesktop.login1",
                "/org/freedesktop/login1",
                "org.freedesktop.login1.Manager",
                method,
                arguments)) {
            throw new IllegalStateException("logind refused " + method + ":\n" + logind.logTail(20));
        }
    }

    private boolean call(String service, String object, String type, String method, String... arguments) {
        String[] words = new String[5 + arguments.length];
        System.arraycopy(new String[] {"call", service, object, type, method}, 0, words, 0, 5);
        System.arraycopy(arguments, 0, words, 5, arguments.length);
        return busctl(words);
    }

    private boolean busctl(String... words) {
        String[] command = new String[2 + words.length];
        command[0] = "busctl";
        command[1] = "--address=unix:path=" + bus;
        System.arraycopy(words, 0, command, 2, words.length);
        return Command.tryRun(command).code() == 0;
    }

    @Override
    public void close() {
        systemd.close();
        logind.close();
        daemon.close();
        try {
            Files.deleteIfExists(bus);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
