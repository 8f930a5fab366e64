package dev.torpor.agent.image;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * Structure of a QEMU migration stream with the mapped-ram layout, from its magic to the end of RAM. All numbers are
 * big-endian (QEMU docs/devel/migration/mapped-ram.rst; migration/savevm.c, migration/ram.c of 10.0):
 *
 * <pre>
 *  the head ({@code StreamHead})
 *  for each block: u8 length, name  u64 used bytes
 *      u64 guest address, only with the capability x-ignore-shared
 *      u32 version 1  u64 page size  u64 offset of bitmap  u64 offset of pages     (both 0: left out)
 *      bitmap; hole up to 1 MiB boundary; pages, then the next block
 *  device state
 * </pre>
 *
 * @param machineType versioned machine type that the stream was saved from
 * @param capabilities migration capabilities that the loading side must have set
 * @param blocks the blocks, in order
 * @param headers the ranges that hold the fields above
 * @param deviceStateOffsetBytes where RAM ends and device state begins
 */
public record MappedRamStream(
        String machineType,
        List<String> capabilities,
        List<RamBlock> blocks,
        List<Extent> headers,
        long deviceStateOffsetBytes) {
    /**
     * What a stream that may be hostile is held to.
     *
     * @param fileBytes length of the file that it is in
     * @param blocksBytesMax the most that all blocks together may have
     */
    public record Bounds(long fileBytes, long blocksBytesMax) {}

    private static final long HEADER_VERSION = 1;
    private static final String IGNORE_SHARED = "x-ignore-shared";

    private static final long PAGE_BYTES_MIN = 4096;
    private static final long PAGE_BYTES_MAX = 1 << 30;

    public MappedRamStream {
        capabilities = List.copyOf(capabilities);
        blocks = List.copyOf(blocks);
        headers = List.copyOf(headers);
    }

    /**
     * Parses the stream that begins at an offset.
     *
     * @throws IOException if it cannot be read, or is not such a stream, or goes beyond the bounds
     */
    public static MappedRamStream parse(ByteSource source, long offsetBytes, Bounds bounds) throws IOException {
        return new Parser(new StreamReader(source, offsetBytes, bounds.fileBytes()), bounds).parse();
    }

    /** Returns the bytes of a bitmap for so many pages: whole 64-bit words. */
    static long bitmapBytes(long pages) {
        return (pages + Long.SIZE - 1) / Long.SIZE * Long.BYTES;
    }

    private static final class Parser {
        private final StreamReader in;
        private final Bounds bounds;
        private List<String> capabilities = List.of();
        private final List<RamBlock> blocks = new ArrayList<>();
        private final List<Extent> headers = new ArrayList<>();
        private final Set<String> names = new HashSet<>();

        Parser(StreamReader in, Bounds bounds) {
            this.in = in;
            this.bounds = bounds;
        }

        MappedRamStream parse() throws IOException {
            long headerStart = in.position();
            StreamHead head = StreamHead.read(in, bounds.blocksBytesMax());
            capabilities = head.capabilities();
            long left = head.memoryBytes();
            while (left > 0) {
                left -= block(headerStart, left);
                headerStart = in.position();
            }
            return new MappedRamStream(head.machineType(), capabilities, blocks, headers, in.position());
        }

        /** Reads one block's record and moves on behind its pages; returns its size. */
        private long block(long headerStart, long left) throws IOException {
            if (blocks.size() == StreamHead.BLOCKS_MAX) {
                throw new MalformedImageException("the stream has more than " + StreamHead.BLOCKS_MAX + " RAM blocks");
            }
            String name = in.text(in.u8("a RAM block"), "a RAM block's name");
            String about = "RAM block '" + name + "'";
            if (!names.add(name)) {
                throw new MalformedImageException(about + " is there twice");
            }
            long used = StreamHead.atMost("the size of " + about, in.u64("the size of " + about), left);
            if (capabilities.contains(IGNORE_SHARED)) {
                in.u64("the address of " + about);
            }
            StreamHead.expect("the version of " + about, in.u32(about), HEADER_VERSION);
            long page = in.u64("the page size of " + about);
            if (Long.bitCount(page) != 1 || page < PAGE_BYTES_MIN || page > PAGE_BYTES_MAX) {
                throw new MalformedImageException("the page size of " + about + " is " + page);
            }
            if (used == 0 || used % page != 0) {
                throw new MalformedImageException("the size of " + about + ", " + used
                        + ", is not a positive multiple of its page size, " + page);
            }
            long bitmapOffset = in.u64("the bitmap of " + about);
            long pagesOffset = in.u64("the pages of " + about);
            headers.add(new Extent(headerStart, in.position() - headerStart));
            if (bitmapOffset == 0 && pagesOffset == 0) {
                blocks.add(new RamBlock(name, used, page, new Extent(0, 0), new Extent(0, 0)));
                return used;
            }
            Extent bitmap = within("the bitmap of " + about, bitmapOffset, bitmapBytes(used / page), in.position());
            Extent pages = within("the pages of " + about, pagesOffset, used, bitmap.endBytes());
            if (pages.offsetBytes() % page != 0) {
                throw new MalformedImageException(
                        "the pages of " + about + " begin at " + pagesOffset + ", in the middle of a page");
            }
            blocks.add(new RamBlock(name, used, page, bitmap, pages));
            in.seek(pages.endBytes());
            return used;
        }

        private Extent within(String what, long offset, long length, long from) throws IOException {
            if (offset < from || length > bounds.fileBytes() || offset > bounds.fileBytes() - length) {
                throw new MalformedImageException(what + " are said to be " + length + " bytes at offset " + offset
                        + ", outside of " + from + " to " + bounds.fileBytes());
            }
            return new Extent(offset, length);
        }
    }
}
