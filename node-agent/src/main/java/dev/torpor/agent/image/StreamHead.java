package dev.torpor.agent.image;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/**
 * What every migration stream of QEMU with RAM begins with, up to the list of its RAM blocks; big-endian (migration/savevm.c,
 * migration/ram.c of QEMU 10.0):
 *
 * <pre>
 *  u32 "QEVM"   u32 version 3
 *  u8  7 (configuration)   u32 length, machine type
 *      any number of: u8 5 (subsection)  u8 length, name  u32 version  content
 *  u8  1 (section start)   u32 section  u8 length, "ram"  u32 instance  u32 version
 *  u64 bytes of all blocks | 4 (RAM_SAVE_FLAG_MEM_SIZE)
 * </pre>
 *
 * @param machineType versioned machine type that the stream was saved from
 * @param capabilities migration capabilities that the loading side must have set
 * @param memoryBytes of all blocks
 */
record StreamHead(String machineType, List<String> capabilities, long memoryBytes) {
    private static final long MAGIC = 0x5145_564DL; // QEVM
    private static final long VERSION = 3;
    private static final int CONFIGURATION = 7;
    private static final int SUBSECTION = 5;
    private static final int SECTION_START = 1;
    private static final long FLAG_MEM_SIZE = 4;
    private static final long FLAGS = 0xFFF;
    private static final int UUID_BYTES = 16;

    // Far above what QEMU makes: three capabilities, some ten blocks.
    private static final int MACHINE_TYPE_LENGTH_MAX = 256;
    private static final int SUBSECTIONS_MAX = 16;
    private static final int CAPABILITIES_MAX = 64;

    /** Most blocks that a stream may have. */
    static final int BLOCKS_MAX = 4096;

    StreamHead {
        capabilities = List.copyOf(capabilities);
    }

    /**
     * Reads it; on return the reader is at the first block.
     *
     * @param memoryBytesMax the most that all blocks together may have
     * @throws IOException if it cannot be read, or is not such a stream, or goes beyond the bounds
     */
    static StreamHead read(StreamReader in, long memoryBytesMax) throws IOException {
        expect("the stream's magic", in.u32("the stream's magic"), MAGIC);
        expect("the stream's version", in.u32("the stream's version"), VERSION);
        expect("the configuration section's type", in.u8("the configuration section"), CONFIGURATION);
        String machine = in.text(
                (int) atMost("the machine type's length", in.u32("the machine type"), MACHINE_TYPE_LENGTH_MAX),
                "the machine type");
        List<String> capabilities = new ArrayList<>();
        expect("the RAM section's type", subsections(in, capabilities), SECTION_START);
        in.u32("the RAM section");
        String section = in.text(in.u8("the RAM section"), "the first section's name");
        if (!section.equals("ram")) {
            throw new MalformedImageException("the first section is '" + section + "', not 'ram'");
        }
        in.skip(8, "the RAM section");
        long total = in.u64("the size of RAM");
        expect("the flags of the size of RAM", total & FLAGS, FLAG_MEM_SIZE);
        long memory = atMost("the size of RAM", total & ~FLAGS, memoryBytesMax);
        if (memory == 0) {
            throw new MalformedImageException("the stream has no RAM");
        }
        return new StreamHead(machine, capabilities, memory);
    }

    /** Reads the configuration's subsections; returns the type byte that follows them. */
    private static int subsections(StreamReader in, List<String> capabilities) throws IOException {
        for (int n = 0; n < SUBSECTIONS_MAX; n++) {
            int type = in.u8("a section's type");
            if (type != SUBSECTION) {
                return type;
            }
            String name = in.text(in.u8("a subsection"), "a subsection's name");
            in.u32("a subsection's version");
            switch (name) {
                case "configuration/capabilities" -> {
                    long count = atMost("the number of capabilities", in.u32("the capabilities"), CAPABILITIES_MAX);
                    for (long i = 0; i < count; i++) {
                        capabilities.add(in.text(in.u8("a capability"), "a capability's name"));
                    }
                }
                case "configuration/target-page-bits" -> in.u32("the target page bits");
                case "configuration/uuid" -> in.skip(UUID_BYTES, "the UUID");
                default -> throw new MalformedImageException("the stream has an unknown subsection '" + name + "'");
            }
        }
        throw new MalformedImageException("the stream has more than " + SUBSECTIONS_MAX + " subsections");
    }

    static void expect(String what, long value, long expected) throws MalformedImageException {
        if (value != expected) {
            throw new MalformedImageException(
                    what + " is 0x" + Long.toHexString(value) + ", not 0x" + Long.toHexString(expected));
        }
    }

    static long atMost(String what, long value, long max) throws MalformedImageException {
        if (value > max) {
            throw new MalformedImageException(what + " is " + value + "; at most " + max + " is possible");
        }
        return value;
    }
}
