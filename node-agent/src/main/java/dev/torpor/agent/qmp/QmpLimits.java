package dev.torpor.agent.qmp;

import java.time.Duration;

/**
 * What is borne from a peer.
 *
 * @param greeting longest wait for the greeting; a monitor that serves another client stays silent
 * @param command longest wait for the answer to one command
 * @param lineBytesMax longest message; the longest honest ones (device trees) stay below 1 MiB
 * @param depthMax deepest nesting of a message
 * @param tokensMax most tokens of JSON in a message: three bytes of it can cost 90 of memory; honest ones have some ten
 *     thousand
 * @param eventsMax most events kept between two looks at them; older ones are dropped
 * @param messagesPerCommandMax most messages of any kind before the answer to one command
 */
public record QmpLimits(
        Duration greeting,
        Duration command,
        int lineBytesMax,
        int depthMax,
        int tokensMax,
        int eventsMax,
        int messagesPerCommandMax) {
    /** What an honest QEMU never reaches. */
    public static final QmpLimits DEFAULT =
            new QmpLimits(Duration.ofSeconds(5), Duration.ofSeconds(30), 4 << 20, 64, 200_000, 256, 10_000);
    /** Most bytes of all events kept together: honest ones have some hundred each. */
    static final int EVENT_BYTES_MAX = 64 << 10;
}
