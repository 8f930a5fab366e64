package dev.torpor.agent.image;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/** Reads the fields of QEMU's stream one after another, big-endian, never past the end of the file. */
final class StreamReader {
    private final ByteSource source;
    private final long fileBytes;
    private long position;

    StreamReader(ByteSource source, long offsetBytes, long fileBytes) {
        this.source = source;
        this.position = offsetBytes;
        this.fileBytes = fileBytes;
    }

    long position() {
        return position;
    }

    void seek(long offsetBytes) {
        position = offsetBytes;
    }

    int u8(String what) throws IOException {
        return bytes(1, what).get() & 0xFF;
    }

    /** Reads an unsigned 32-bit number. */
    long u32(String what) throws IOException {
        return bytes(4, what).getInt() & 0xFFFF_FFFFL;
    }

    /** Reads an unsigned 64-bit number that no honest stream has above 2^63 - 1. */
    long u64(String what) throws IOException {
        long value = bytes(8, what).getLong();
        if (value < 0) {
            throw new MalformedImageException(
                    what + " is " + Long.toUnsignedString(value) + ", more than any file can hold");
        }
        return value;
    }

    String text(int length, String what) throws IOException {
        String text = StandardCharsets.UTF_8.decode(bytes(length, what)).toString();
        if (text.isEmpty() || text.chars().anyMatch(c -> c < ' ' || c == 0x7F || c == 0xFFFD)) {
            throw new MalformedImageException(what + " is empty or not text");
        }
        return text;
    }

    void skip(int length, String what) throws IOException {
        bytes(length, what);
    }

    private ByteBuffer bytes(int length, String what) throws IOException {
        if (length > fileBytes - position) {
            throw ended(what);
        }
        ByteBuffer buffer = ByteBuffer.allocate(length);
        if (source.read(buffer, position) < length) {
            throw ended(what);
        }
        position += length;
        return buffer.flip();
    }

    private MalformedImageException ended(String what) {
        return new MalformedImageException("the stream ends in the middle of " + what + ", at offset " + position);
    }
}
