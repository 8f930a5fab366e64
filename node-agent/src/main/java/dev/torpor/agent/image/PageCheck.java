package dev.torpor.agent.image;

/**
 * What a look at all pages of an image found.
 *
 * @param bytes of pages read from the disk
 * @param compared whether they were compared with a table of checksums; without one, only that they can be read is known
 */
public record PageCheck(long bytes, boolean compared) {}
