package dev.torpor.agent.image;

/**
 * One process of one boot: enough to tell after a crash whether it still is the process that was meant.
 *
 * @param podUID UID of its pod; empty outside a cluster
 * @param containerID its container as the runtime names it; empty outside a cluster
 * @param bootID the kernel's boot
 * @param pid process ID
 * @param startTicks when it was started, in clock ticks since boot: tells it from a later one with the same pid
 */
public record ProcessIdentity(String podUID, String containerID, String bootID, int pid, long startTicks) {}
