package dev.torpor.agent.image;

import dev.torpor.agent.linux.AlignedBuffer;
import dev.torpor.agent.linux.Descriptor;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.zip.CRC32C;

/**
 * Writes the streams of channels into one file ({@link ChannelLayout}). Each channel is written by one thread at a time,
 * different ones at the same time.
 */
public final class ChannelWriter {
    private final Descriptor file;
    private final List<Stream> streams = new ArrayList<>();

    /**
     * Prepares.
     *
     * @param files for writing, kept open by the caller; past the page cache if they have a descriptor for that
     * @param channels how many, the main one included
     */
    public ChannelWriter(ImageFiles files, int channels) {
        file = files.direct().orElse(files.buffered());
        for (int channel = 0; channel < channels; channel++) {
            streams.add(new Stream(channel));
        }
    }

    /** What was written of one channel. */
    private final class Stream {
        private final int channel;
        private long lengthBytes;
        private int[] checksums = new int[64];
        private int units;

        private Stream(int channel) {
            this.channel = channel;
        }

        private void add(ByteBuffer unit) throws IOException {
            int length = unit.limit();
            if (length == 0 || length > ChannelLayout.UNIT_BYTES || lengthBytes % ChannelLayout.UNIT_BYTES != 0) {
                throw new IllegalArgumentException("a unit of " + length + " bytes behind " + lengthBytes);
            }
            CRC32C crc = new CRC32C();
            crc.update(unit.duplicate());
            write(unit, ChannelLayout.offsetBytes(streams.size(), channel, units));
            if (units == checksums.length) {
                checksums = Arrays.copyOf(checksums, 2 * units);
            }
            checksums[units++] = (int) crc.getValue();
            lengthBytes += length;
        }
    }

    /**
     * Writes the next unit of a channel.
     *
     * @param unit aligned, from 0 to its limit: a whole unit, or, for the last one, less
     */
    public void add(int channel, ByteBuffer unit) throws IOException {
        streams.get(channel).add(unit);
    }

    private void write(ByteBuffer unit, long offsetBytes) throws IOException {
        int length = unit.limit();
        int padded = (int) AlignedBuffer.alignUp(length);
        unit.limit(padded);
        for (int at = length; at < padded; at++) {
            unit.put(at, (byte) 0);
        }
        file.write(unit.position(0), offsetBytes);
    }

    /**
     * Writes what ends the file, once all channels have ended.
     *
     * @return where things are
     */
    public ChannelLayout finish(Compression compression) throws IOException {
        int count = streams.stream().mapToInt(stream -> stream.units).sum();
        ByteBuffer table = AlignedBuffer.allocate(Math.max(1, count) * Integer.BYTES);
        for (Stream stream : streams) {
            for (int unit = 0; unit < stream.units; unit++) {
                table.putInt(stream.checksums[unit]);
            }
        }
        table.flip();
        CRC32C crc = new CRC32C();
        crc.update(table.duplicate());
        ChannelLayout layout = new ChannelLayout(
                compression, streams.stream().map(stream -> stream.lengthBytes).toList(), (int) crc.getValue());
        write(table, layout.checksums().offsetBytes());
        return layout;
    }
}
