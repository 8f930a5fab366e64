package dev.torpor.agent.image;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * An ordinary migration stream of QEMU, of one channel, as it passes by: what its head says, how long it is, and whether it
 * ends as QEMU ends one, with its description (machine types before 2.3 have none). Pages are not looked at.
 */
final class PlainStream {
    // 4096 blocks with names of 255 letters have 1 MiB; QEMU makes some hundred bytes.
    private static final int HEAD_BYTES_MAX = 2 << 20;

    /** Each page has a header of 8 bytes, the first of a block its name too. */
    private static final long MEMORY_PER_HEADER = 256;

    /** Device state, of which QEMU makes some MiB. */
    private static final long BESIDE_MEMORY_BYTES_MAX = 256L << 20;

    private final ByteBuffer head = ByteBuffer.allocate(HEAD_BYTES_MAX);
    private final StreamEnd end = new StreamEnd();
    private final long memoryBytesMax;
    private Optional<Head> read = Optional.empty();
    private long lengthBytes;

    /**
     * What the head says.
     *
     * @param machineType versioned
     * @param blocks bytes of each block of RAM, ROMs among them
     */
    record Head(String machineType, SortedMap<String, Long> blocks) {}

    /**
     * Begins.
     *
     * @param memoryBytesMax the most that all blocks together may have
     */
    PlainStream(long memoryBytesMax) {
        this.memoryBytesMax = memoryBytesMax;
    }

    /**
     * Takes the next bytes.
     *
     * @throws MalformedImageException if there are more than a machine with the memory that the head tells of can have sent:
     *     its guest is stopped, and sends each page once. What decompresses to more would fill a disk and nothing else
     */
    void update(ByteBuffer bytes) throws IOException {
        if (!head.hasRemaining()) {
            long memoryBytes = 0;
            for (long used : head().blocks().values()) {
                memoryBytes += used;
            }
            if (lengthBytes + bytes.remaining()
                    > memoryBytes + memoryBytes / MEMORY_PER_HEADER + BESIDE_MEMORY_BYTES_MAX) {
                throw new MalformedImageException(
                        "its stream is longer than one of a machine with " + memoryBytes + " bytes of memory");
            }
        }
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
     * @throws MalformedImageException if it is not whole, or not such a stream
     */
    Head finish() throws IOException {
        Head found = head();
        if (!end.foundDescription()) {
            throw new MalformedImageException(
                    "the stream does not end as QEMU ends one, after " + lengthBytes + " bytes");
        }
        return found;
    }

    private Head head() throws IOException {
        if (read.isEmpty()) {
            int known = head.position();
            ByteSource source = (buffer, offset) -> {
                int n = (int) Math.max(0, Math.min(buffer.remaining(), known - offset));
                buffer.put(head.slice((int) Math.min(offset, known), n));
                return n;
            };
            read = Optional.of(head(new StreamReader(source, 0, known), memoryBytesMax));
        }
        return read.get();
    }

    private static Head head(StreamReader in, long memoryBytesMax) throws IOException {
        StreamHead head = StreamHead.read(in, memoryBytesMax);
        if (!head.capabilities().isEmpty()) {
            throw new MalformedImageException("the stream needs the capability '"
                    + head.capabilities().getFirst() + "', which libvirt does not use");
        }
        return new Head(head.machineType(), blocks(in, head.memoryBytes()));
    }

    private static SortedMap<String, Long> blocks(StreamReader in, long totalBytes) throws IOException {
        SortedMap<String, Long> blocks = new TreeMap<>();
        long left = totalBytes;
        while (left > 0) {
            String name = in.text(in.u8("a RAM block"), "a RAM block's name");
            long used = in.u64("the size of RAM block '" + name + "'");
            if (used == 0 || used > left || blocks.size() == StreamHead.BLOCKS_MAX || blocks.put(name, used) != null) {
                throw new MalformedImageException("RAM block '" + name + "' of " + used + " bytes cannot be");
            }
            left -= used;
        }
        return blocks;
    }
}
