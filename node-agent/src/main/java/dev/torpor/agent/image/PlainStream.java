package dev.torpor.agent.image;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * An ordinary migration stream of QEMU, of one channel, as it passes by: what its head says, how long it is, and whether it
 * ends as QEMU ends one, with its description (machine types before 2.3 have none). Pages are not looked at.
 */
final class PlainStream {
    private static final long MAGIC = 0x5145_564DL; // QEVM
    private static final long VERSION = 3;
    private static final int CONFIGURATION = 7;
    private static final int SUBSECTION = 5;
    private static final int SECTION_START = 1;
    private static final long FLAG_MEM_SIZE = 4;
    private static final long FLAGS = 0xFFF;
    private static final int MACHINE_TYPE_LENGTH_MAX = 256;
    private static final int SUBSECTIONS_MAX = 16;
    private static final int BLOCKS_MAX = 4096;
    private static final int UUID_BYTES = 16;
    // 4096 blocks with names of 255 letters have 1 MiB; QEMU makes some hundred bytes.
    private static final int HEAD_BYTES_MAX = 2 << 20;

    private final ByteBuffer head = ByteBuffer.allocate(HEAD_BYTES_MAX);
    private final StreamEnd end = new StreamEnd();
    private long lengthBytes;

    /**
     * What the head says.
     *
     * @param machineType versioned
     * @param blocks bytes of each block of RAM, ROMs among them
     */
    record Head(String machineType, SortedMap<String, Long> blocks) {}

    /** Takes the next bytes. */
    void update(ByteBuffer bytes) {
        lengthBytes += bytes.remaining();
        int n = Math.min(head.remaining(), bytes.remaining());
        head.put(bytes.slice(bytes.position(), n));
        end.update(bytes.duplicate());
    }

    long lengthBytes() {
        return lengthBytes;
    }

    /**
     * Tells what it was, once all of it has passed.
     *
     * @param memoryBytesMax the most that all blocks together may have
     * @throws MalformedImageException if it is not whole, or not such a stream
     */
    Head finish(long memoryBytesMax) throws IOException {
        int known = head.position();
        ByteSource source = (buffer, offset) -> {
            int n = (int) Math.max(0, Math.min(buffer.remaining(), known - offset));
            buffer.put(head.slice((int) Math.min(offset, known), n));
            return n;
        };
        Head read = head(new StreamReader(source, 0, known), memoryBytesMax);
        if (!end.foundDescription()) {
            throw new MalformedImageException(
                    "the stream does not end as QEMU ends one, after " + lengthBytes + " bytes");
        }
        return read;
    }

    private static Head head(StreamReader in, long memoryBytesMax) throws IOException {
        expect("the stream's magic", in.u32("the stream's magic"), MAGIC);
        expect("the stream's version", in.u32("the stream's version"), VERSION);
        expect("the configuration section's type", in.u8("the configuration section"), CONFIGURATION);
        long letters = in.u32("the machine type");
        if (letters > MACHINE_TYPE_LENGTH_MAX) {
            throw new MalformedImageException("the machine type is said to have " + letters + " letters");
        }
        String machine = in.text((int) letters, "the machine type");
        expect("the RAM section's type", subsections(in), SECTION_START);
        in.u32("the RAM section");
        String section = in.text(in.u8("the RAM section"), "the first section's name");
        if (!section.equals("ram")) {
            throw new MalformedImageException("the first section is '" + section + "', not 'ram'");
        }
        in.skip(8, "the RAM section");
        long total = in.u64("the size of RAM");
        expect("the flags of the size of RAM", total & FLAGS, FLAG_MEM_SIZE);
        long left = total & ~FLAGS;
        if (left == 0 || left > memoryBytesMax) {
            throw new MalformedImageException("the size of RAM is " + left + "; at most " + memoryBytesMax
                    + " is possible for the domain's memory");
        }
        return new Head(machine, blocks(in, left));
    }

    private static SortedMap<String, Long> blocks(StreamReader in, long totalBytes) throws IOException {
        SortedMap<String, Long> blocks = new TreeMap<>();
        long left = totalBytes;
        while (left > 0) {
            String name = in.text(in.u8("a RAM block"), "a RAM block's name");
            long used = in.u64("the size of RAM block '" + name + "'");
            if (used == 0 || used > left || blocks.size() == BLOCKS_MAX || blocks.put(name, used) != null) {
                throw new MalformedImageException("RAM block '" + name + "' of " + used + " bytes cannot be");
            }
            left -= used;
        }
        return blocks;
    }

    /** Reads the configuration's subsections; returns the type byte that follows them. */
    private static int subsections(StreamReader in) throws IOException {
        for (int n = 0; n < SUBSECTIONS_MAX; n++) {
            int type = in.u8("a section's type");
            if (type != SUBSECTION) {
                return type;
            }
            String name = in.text(in.u8("a subsection"), "a subsection's name");
            in.u32("a subsection's version");
            switch (name) {
                case "configuration/target-page-bits" -> in.u32("the target page bits");
                case "configuration/uuid" -> in.skip(UUID_BYTES, "the UUID");
                case "configuration/capabilities" -> {
                    long count = in.u32("the capabilities");
                    if (count > 0) {
                        throw new MalformedImageException("the stream needs the capability '"
                                + in.text(in.u8("a capability"), "a capability's name")
                                + "', which libvirt does not use");
                    }
                }
                default -> throw new MalformedImageException("the stream has an unknown subsection '" + name + "'");
            }
        }
        throw new MalformedImageException("the stream has more than " + SUBSECTIONS_MAX + " subsections");
    }

    private static void expect(String what, long value, long expected) throws MalformedImageException {
        if (value != expected) {
            throw new MalformedImageException(
                    what + " is 0x" + Long.toHexString(value) + ", not 0x" + Long.toHexString(expected));
        }
    }
}
