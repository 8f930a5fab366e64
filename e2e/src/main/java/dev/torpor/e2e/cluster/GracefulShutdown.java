package dev.torpor.e2e.cluster;

import java.nio.file.Path;
import java.util.Map;

/**
 * How a kubelet ends its pods when logind says that the machine goes down.
 *
 * @param bus socket of the D-Bus that logind is asked and heard on
 * @param seconds what it has for all pods; logind must wait for as long, or the kubelet writes that into the settings of
 *     the machine's own
 * @param criticalSeconds what of it is left to critical pods
 */
public record GracefulShutdown(Path bus, int seconds, int criticalSeconds) {
    /** Returns the lines of the kubelet's settings. */
    String text() {
        return "shutdownGracePeriod: %ds\nshutdownGracePeriodCriticalPods: %ds".formatted(seconds, criticalSeconds);
    }

    /** Returns the variables by which it is told the bus. */
    Map<String, String> environment() {
        return Map.of("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=" + bus);
    }
}
