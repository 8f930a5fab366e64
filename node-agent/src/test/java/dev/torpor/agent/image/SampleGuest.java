package dev.torpor.agent.image;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** A guest of one page of memory, as QEMU would write it: for tests outside of this package. */
public final class SampleGuest {
    private static final SampleStream STREAM = stream();
    private static final TreeMap<Long, byte[]> PARTS = STREAM.compose().parts();
    private static final long PAGE_AT = PARTS.entrySet().stream()
            .filter(part -> part.getValue().length == SampleStream.PAGE)
            .findFirst()
            .orElseThrow()
            .getKey();

    private SampleGuest() {}

    private static SampleStream stream() {
        SampleStream stream = new SampleStream();
        stream.blocks = List.of(new SampleStream.Block("pc.ram", 2 << 20, List.of(0)));
        return stream;
    }

    /** Returns what the guest is like. */
    public static VmDefinition definition() {
        return STREAM.definition();
    }

    /** Returns the pages of its memory that are not zero. */
    public static long pages() {
        return STREAM.pages();
    }

    /** Returns the parts of its file, by their offsets; {@code memory} is at the beginning of its page. */
    public static Map<Long, byte[]> parts(byte[] memory) {
        Map<Long, byte[]> parts = new TreeMap<>(PARTS);
        byte[] page = new byte[(int) SampleStream.PAGE];
        ByteBuffer.wrap(page).put(memory);
        parts.put(PAGE_AT, page);
        return parts;
    }

    /** Returns where in the file its memory is, in bytes. */
    public static long memoryAt() {
        return PAGE_AT;
    }
}
