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
 *  u32 "QEVM"   u32 version 3
 *  u8  7 (configuration)   u32 length, machine type
 *      any number of: u8 5 (subsection)  u8 length, name  u32 version  content
 *  u8  1 (section start)   u32 section  u8 length, "ram"  u32 instance  u32 version
 *  u64 bytes of all blocks | 4 (RAM_SAVE_FLAG_MEM_SIZE)
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

    private static final long MAGIC = 0x5145_564DL; // QEVM
    private static final long VERSION = 3;
    private static final int CONFIGURATION = 7;
    private static final int SUBSECTION = 5;
    private static final int SECTION_START = 1;
    private static final long FLAG_MEM_SIZE = 4;
    private static final long FLAGS = 0xFFF;
    private static final long HEADER_VERSION = 1;
    private static final int UUID_BYTES = 16;
    private static final String IGNORE_SHARED = "x-ignore-shared";

    // Far above what QEMU makes: three capabilities, some ten blocks.
    private static final int MACHINE_TYPE_LENGTH_MAX = 256;
    private static final int SUBSECTIONS_MAX = 16;
    private static final int CAPABILITIES_MAX = 64;
    private static final int BLOCKS_MAX = 4096;
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
        private final List<String> capabilities = new ArrayList<>();
        private final List<RamBlock> blocks = new ArrayList<>();
        private final List<Extent> headers = new ArrayList<>();
        private final Set<String> names = new HashSet<>();

        Parser(StreamReader in, Bounds bounds) {
            this.in = in;
            this.bounds = bounds;
        }

        MappedRamStream parse() throws IOException {
            long headerStart = in.position();
            expect("the stream's magic", in.u32("the stream's magic"), MAGIC);
            expect("the stream's version", in.u32("the stream's version"), VERSION);
            expect("the configuration section's type", in.u8("the configuration section"), CONFIGURATION);
            String machine = in.text(
                    (int) atMost("the machine type's length", in.u32("the machine type"), MACHINE_TYPE_LENGTH_MAX),
                    "the machine type");
            expect("the RAM section's type", subsections(), SECTION_START);
            in.u32("the RAM section");
            String section = in.text(in.u8("the RAM section"), "the first section's name");
            if (!section.equals("ram")) {
                throw new MalformedImageException("the first section is '" + section + "', not 'ram'");
            }
            in.skip(8, "the RAM section");
            long total = in.u64("the size of RAM");
            expect("the flags of the size of RAM", total & FLAGS, FLAG_MEM_SIZE);
            long left = atMost("the size of RAM", total & ~FLAGS, bounds.blocksBytesMax());
            while (left > 0) {
                left -= block(headerStart, left);
                headerStart = in.position();
            }
            if (blocks.isEmpty()) {
                throw new MalformedImageException("the stream has no RAM");
            }
            return new MappedRamStream(machine, capabilities, blocks, headers, in.position());
        }

        /** Reads the configuration's subsections; returns the type byte that follows them. */
        private int subsections() throws IOException {
            for (int n = 0; n < SUBSECTIONS_MAX; n++) {
                int type = in.u8("a section's type");
                if (type != SUBSECTION) {
                    return type;
                }
                String name = in.text(in.u8("a subsection"), "a subsection's name");
                in.u32("a subsection's version");
                switch (name) {
                    case "configuration/capabilities" -> capabilities();
                    case "configuration/target-page-bits" -> in.u32("the target page bits");
                    case "configuration/uuid" -> in.skip(UUID_BYTES, "the UUID");
                    default -> throw new MalformedImageException("the stream has an unknown subsection '" + name + "'");
                }
            }
            throw new MalformedImageException("the stream has more than " + SUBSECTIONS_MAX + " subsections");
        }

        private void capabilities() throws IOException {
            long count = atMost("the number of capabilities", in.u32("the capabilities"), CAPABILITIES_MAX);
            for (long n = 0; n < count; n++) {
                capabilities.add(in.text(in.u8("a capability"), "a capability's name"));
            }
        }

        /** Reads one block's record and moves on behind its pages; returns its size. */
        private long block(long headerStart, long left) throws IOException {
            if (blocks.size() == BLOCKS_MAX) {
                throw new MalformedImageException("the stream has more than " + BLOCKS_MAX + " RAM blocks");
            }
            String name = in.text(in.u8("a RAM block"), "a RAM block's name");
            String about = "RAM block '" + name + "'";
            if (!names.add(name)) {
                throw new MalformedImageException(about + " is there twice");
            }
            long used = atMost("the size of " + about, in.u64("the size of " + about), left);
            if (capabilities.contains(IGNORE_SHARED)) {
                in.u64("the address of " + about);
            }
            expect("the version of " + about, in.u32(about), HEADER_VERSION);
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

        private static void expect(String what, long value, long expected) throws IOException {
            if (value != expected) {
                throw new MalformedImageException(
                        what + " is 0x" + Long.toHexString(value) + ", not 0x" + Long.toHexString(expected));
            }
        }

        private static long atMost(String what, long value, long max) throws IOException {
            if (value > max) {
                throw new MalformedImageException(what + " is " + value + "; at most " + max + " is possible");
            }
            return value;
        }
    }
}
