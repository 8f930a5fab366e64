package dev.torpor.agent.image;

/**
 * A block of the VM's memory in QEMU's mapped-ram stream: guest RAM, video memory, a ROM.
 *
 * @param name QEMU's name of the block
 * @param usedBytes its size
 * @param pageBytes size of the pages that the bitmap counts
 * @param bitmap where its bitmap is: one bit a page, set if the page is in the file, clear if it is zero; little-endian
 *     64-bit words. Empty if QEMU left the block out
 * @param pages where its pages are, every page at its place. Empty if QEMU left the block out
 */
public record RamBlock(String name, long usedBytes, long pageBytes, Extent bitmap, Extent pages) {
    /** Returns how many pages it has. */
    public long pageCount() {
        return usedBytes / pageBytes;
    }
}
