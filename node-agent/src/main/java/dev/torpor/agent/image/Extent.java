package dev.torpor.agent.image;

/**
 * A range of a file.
 *
 * @param offsetBytes where it begins
 * @param lengthBytes how long it is
 */
public record Extent(long offsetBytes, long lengthBytes) {
    /** Returns the offset just behind it. */
    public long endBytes() {
        return Math.addExact(offsetBytes, lengthBytes);
    }
}
