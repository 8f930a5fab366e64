package dev.torpor.agent.engine;

/**
 * How one save will be done, all checks passed.
 *
 * @param channels number of channels
 * @param directIO whether O_DIRECT is used
 * @param bandwidthBytesPerSecondMax most bytes per second; 0 is unlimited
 * @param memoryBytes bytes of all RAM blocks
 */
public record SavePlan(int channels, boolean directIO, long bandwidthBytesPerSecondMax, long memoryBytes) {}
