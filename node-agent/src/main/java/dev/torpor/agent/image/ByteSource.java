package dev.torpor.agent.image;

import java.io.IOException;
import java.nio.ByteBuffer;

/** Something that is read at offsets: a file by pread(2), never a mapping, as whoever truncates that would kill us. */
@FunctionalInterface
public interface ByteSource {
    /** Fills the buffer from an offset; returns bytes read, less than asked for only at the end. */
    int read(ByteBuffer buffer, long offsetBytes) throws IOException;
}
