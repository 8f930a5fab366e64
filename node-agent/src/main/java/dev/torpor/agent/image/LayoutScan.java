package dev.torpor.agent.image;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.zip.CRC32C;

/**
 * Reads everything of a file's stream but its pages: headers, bitmaps, device state; checks that it goes on to the end
 * of the file, and computes what {@link ImageLayout} records.
 */
final class LayoutScan {
    /** RAM of devices (video memory, ROMs) comes on top of the guest's; more than this is not believed. */
    static final long DEVICE_MEMORY_BYTES_MAX = 1L << 30;

    private static final long DEVICE_STATE_BYTES_MAX = 1L << 30;
    private static final int CHUNK_BYTES = 1 << 20;
    // Words of the RAM section that carry flags have no address bits.
    private static final long RAM_FLAGS_MAX = 0xFFF;

    private final ByteSource source;
    private final long fileBytes;
    private final ByteBuffer chunk = ByteBuffer.allocateDirect(CHUNK_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    private long presentPages;

    private LayoutScan(ByteSource source, long fileBytes) {
        this.source = source;
        this.fileBytes = fileBytes;
    }

    /**
     * A stream and what was computed over it.
     *
     * @param stream its structure
     * @param layout what the header records
     */
    record Result(MappedRamStream stream, ImageLayout layout) {}

    /**
     * Scans a file.
     *
     * @param memoryBytes the guest's RAM: bounds what the stream may claim
     * @throws MalformedImageException if the stream is not whole
     */
    static Result scan(ByteSource source, long fileBytes, long memoryBytes) throws IOException {
        return scan(source, ImageHeader.STREAM_OFFSET_BYTES, fileBytes, memoryBytes);
    }

    /** Scans a file whose stream begins anywhere. */
    static Result scan(ByteSource source, long streamOffsetBytes, long fileBytes, long memoryBytes) throws IOException {
        return new LayoutScan(source, fileBytes).scan(streamOffsetBytes, memoryBytes);
    }

    private Result scan(long streamOffsetBytes, long memoryBytes) throws IOException {
        MappedRamStream stream = MappedRamStream.parse(
                source,
                streamOffsetBytes,
                new MappedRamStream.Bounds(fileBytes, memoryBytes + DEVICE_MEMORY_BYTES_MAX));
        CRC32C headers = new CRC32C();
        for (Extent extent : stream.headers()) {
            read(extent, headers::update);
        }
        CRC32C bitmaps = new CRC32C();
        for (RamBlock block : stream.blocks()) {
            countPages(block, bitmaps);
        }
        long stateOffset = stream.deviceStateOffsetBytes();
        Extent state = new Extent(stateOffset, fileBytes - stateOffset);
        if (state.lengthBytes() > DEVICE_STATE_BYTES_MAX) {
            throw new MalformedImageException("the device state has " + state.lengthBytes() + " bytes; at most "
                    + DEVICE_STATE_BYTES_MAX + " are believed");
        }
        long flags = new StreamReader(source, stateOffset, fileBytes).u64("the end of the RAM section");
        if (flags == 0 || flags > RAM_FLAGS_MAX) {
            throw new MalformedImageException("the RAM section does not end at offset " + stateOffset);
        }
        CRC32C deviceState = new CRC32C();
        StreamEnd end = new StreamEnd();
        read(state, bytes -> {
            deviceState.update(bytes.duplicate());
            end.update(bytes);
        });
        if (!end.found()) {
            throw new MalformedImageException(
                    "the device state does not end where the file ends, at " + fileBytes + " bytes");
        }
        return new Result(
                stream,
                new ImageLayout(
                        fileBytes,
                        stream.blocks(),
                        stateOffset,
                        presentPages,
                        (int) headers.getValue(),
                        (int) bitmaps.getValue(),
                        (int) deviceState.getValue()));
    }

    private void countPages(RamBlock block, CRC32C crc) throws IOException {
        long[] bits = new long[1];
        read(block.bitmap(), bytes -> {
            crc.update(bytes.duplicate());
            while (bytes.remaining() >= Long.BYTES) {
                bits[0] += Long.bitCount(bytes.getLong());
            }
        });
        if (bits[0] > block.pageCount()) {
            throw new MalformedImageException(
                    "RAM block '" + block.name() + "' has " + bits[0] + " pages of " + block.pageCount());
        }
        presentPages += bits[0];
    }

    private interface Sink {
        void accept(ByteBuffer bytes);
    }

    private void read(Extent extent, Sink sink) throws IOException {
        long position = extent.offsetBytes();
        while (position < extent.endBytes()) {
            chunk.clear().limit((int) Math.min(CHUNK_BYTES, extent.endBytes() - position));
            int n = source.read(chunk, position);
            if (n < chunk.limit()) {
                throw new MalformedImageException("the file ends at " + (position + n) + " bytes");
            }
            sink.accept(chunk.flip().slice().order(ByteOrder.LITTLE_ENDIAN));
            position += n;
        }
    }
}
