package dev.torpor.agent.engine;

import java.time.Duration;

/**
 * What QEMU says of a completed save.
 *
 * @param normalPages pages that are not all zero, which equals the number of set bits in the image's bitmaps
 * @param totalBytes bytes of all RAM blocks
 * @param duration from the command to its completion, flush not included
 */
public record SaveReport(long normalPages, long totalBytes, Duration duration) {}
