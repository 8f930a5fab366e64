package dev.torpor.agent.image;

import dev.torpor.agent.linux.AlignedBuffer;
import java.nio.ByteBuffer;
import java.util.Collections;
import java.util.List;

/**
 * Where the streams of a migration's channels stand in an image's file: in turns, in units of 1 MiB. Unit k of channel c is
 * at {@code (k * channels + c)} MiB behind the header area; the last one of a channel is shorter, and filled up with zeros to
 * a multiple of 4096. A channel that ended earlier than others leaves holes. Behind them all stand the checksums (CRC32C,
 * big-endian) of the bytes of each unit, those of channel 0 first, filled up likewise; they end the file.
 *
 * @param compression what QEMU did to the pages
 * @param lengthsBytes length of each stream; the first is the main channel's, then the others' by QEMU's number of them
 * @param checksumsCrc32c of the checksums
 */
public record ChannelLayout(Compression compression, List<Long> lengthsBytes, int checksumsCrc32c) {
    /** Bytes of a unit. */
    public static final int UNIT_BYTES = 1 << 20;

    /** The most that is read: units of 64 TiB. */
    private static final long UNITS_MAX = 64L << 20;

    public ChannelLayout {
        lengthsBytes = List.copyOf(lengthsBytes);
    }

    /** Returns how many units a stream has. */
    public long units(int channel) {
        return (lengthsBytes.get(channel) + UNIT_BYTES - 1) / UNIT_BYTES;
    }

    /** Returns how many bytes of a stream are in a unit. */
    public int unitBytes(int channel, long unit) {
        return (int) Math.min(UNIT_BYTES, lengthsBytes.get(channel) - unit * UNIT_BYTES);
    }

    /** Returns where a unit begins in the file of so many channels. */
    static long offsetBytes(int channels, int channel, long unit) {
        return ImageHeader.STREAM_OFFSET_BYTES + (unit * channels + channel) * UNIT_BYTES;
    }

    /** Returns where a unit begins in the file. */
    public long offsetBytes(int channel, long unit) {
        return offsetBytes(lengthsBytes.size(), channel, unit);
    }

    /** Returns the number of a unit among all, in the order of the checksums. */
    int number(int channel, long unit) {
        long before = 0;
        for (int c = 0; c < channel; c++) {
            before += units(c);
        }
        return Math.toIntExact(before + unit);
    }

    int unitsOfAll() {
        return number(lengthsBytes.size(), 0);
    }

    /** Returns the bytes of all streams together. */
    public long totalBytes() {
        return lengthsBytes.stream().mapToLong(Long::longValue).sum();
    }

    /** Returns where the checksums stand. */
    Extent checksums() {
        long longest = (Collections.max(lengthsBytes) + UNIT_BYTES - 1) / UNIT_BYTES;
        return new Extent(offsetBytes(0, longest), (long) unitsOfAll() * Integer.BYTES);
    }

    /** Returns the length of the file. */
    long sizeBytes() {
        return checksums().offsetBytes() + AlignedBuffer.alignUp(checksums().lengthBytes());
    }

    /** Refuses what no file can be. */
    void check() throws MalformedImageException {
        long units = 0;
        for (long length : lengthsBytes) {
            units += length / UNIT_BYTES + 1;
        }
        if (lengthsBytes.isEmpty() || units > UNITS_MAX) {
            throw new MalformedImageException("it is said to have " + lengthsBytes.size() + " channels of " + units
                    + " units: at least 1 and at most " + UNITS_MAX + " are possible");
        }
    }

    /** Returns one stream as if it were a file of its own; its checksums are not looked at. */
    ByteSource stream(ByteSource file, int channel) {
        return (buffer, offset) -> {
            int wanted = (int) Math.max(0, Math.min(buffer.remaining(), lengthsBytes.get(channel) - offset));
            int done = 0;
            while (done < wanted) {
                long unit = (offset + done) / UNIT_BYTES;
                int within = (int) ((offset + done) % UNIT_BYTES);
                int n = Math.min(wanted - done, UNIT_BYTES - within);
                ByteBuffer part = buffer.slice(buffer.position(), n);
                int read = file.read(part, offsetBytes(channel, unit) + within);
                buffer.position(buffer.position() + read);
                done += read;
                if (read < n) {
                    break;
                }
            }
            return done;
        };
    }
}
