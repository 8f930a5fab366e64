package dev.torpor.agent.engine;

import java.time.Duration;

/**
 * A completed load.
 *
 * @param channels number of channels used
 * @param directIO whether O_DIRECT was used
 * @param duration from the command to its completion
 */
public record LoadReport(int channels, boolean directIO, Duration duration) {}
