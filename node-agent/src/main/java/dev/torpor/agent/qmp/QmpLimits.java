package dev.torpor.agent.qmp;

import java.time.Duration;

/**
 * What is borne from a peer.
 *
 * @param greeting longest wait for the greeting; a monitor that serves another client stays silent
 * @param command longest wait for the answer to one command
 * @param lineBytesMax longest message; the longest honest ones (device trees) stay below 1 MiB
 * @param depthMax deepest nesting of a message
 * @param eventsMax most events kept between two looks at them; older ones are dropped
 * @param messagesPerCommandMax most messages of any kind before the answer to one command
 */
public record QmpLimits(
        Duration greeting, Duration command, int lineBytesMax, int depthMax, int eventsMax, int messagesPerCommandMax) {
    /** What an honest QEMU never reaches. */
    public static final QmpLimits DEFAULT =
            new QmpLimits(Duration.ofSeconds(5), Duration.ofSeconds(30), 4 << 20, 64, 256, 10_000);
}
