package dev.torpor.agent.image;

import dev.torpor.agent.linux.AlignedBuffer;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.ErrnoException;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.zip.CRC32C;

/**
 * Reads the streams of an image's channels back, and compares each unit with its checksum before anybody gets to see it.
 * Safe for several threads.
 */
public final class ChannelReader {
    private final Descriptor file;
    private final ChannelLayout layout;
    private final ByteBuffer checksums;

    private ChannelReader(Descriptor file, ChannelLayout layout, ByteBuffer checksums) {
        this.file = file;
        this.layout = layout;
        this.checksums = checksums;
    }

    /**
     * Prepares, and checks the checksums themselves.
     *
     * @param files for reading, kept open by the caller; past the page cache if they have a descriptor for that
     * @throws TorporException ImageDamaged, ImageTruncated
     */
    public static ChannelReader open(ImageFiles files, ChannelLayout layout) throws IOException, TorporException {
        return new ChannelReader(
                files.direct().orElse(files.buffered()), layout, checksums(files.buffered()::read, layout));
    }

    /** Reads the checksums, and compares them with theirs. */
    static ByteBuffer checksums(ByteSource file, ChannelLayout layout) throws IOException, TorporException {
        ByteBuffer table = ByteBuffer.allocate((int) layout.checksums().lengthBytes());
        if (file.read(table, layout.checksums().offsetBytes()) < table.capacity()) {
            throw truncated();
        }
        CRC32C crc = new CRC32C();
        crc.update(table.flip().duplicate());
        if ((int) crc.getValue() != layout.checksumsCrc32c()) {
            throw new TorporException(
                    FailureReason.ImageDamaged,
                    "the image is damaged: the checksum of its table of checksums is "
                            + JsonFields.hex((int) crc.getValue()) + ", and "
                            + JsonFields.hex(layout.checksumsCrc32c()) + " was committed");
        }
        return table;
    }

    /** Returns what is read. */
    public ChannelLayout layout() {
        return layout;
    }

    /**
     * Reads one unit.
     *
     * @param unit aligned and long enough; from 0 to its limit it holds the unit's bytes afterwards
     * @return whether there is such a unit
     * @throws TorporException ImageDamaged if it is not what was written, or the disk cannot read it; ImageTruncated
     */
    public boolean read(int channel, long number, ByteBuffer unit) throws IOException, TorporException {
        if (number >= layout.units(channel)) {
            return false;
        }
        int length = layout.unitBytes(channel, number);
        unit.clear().limit((int) AlignedBuffer.alignUp(length));
        try {
            if (file.read(unit, layout.offsetBytes(channel, number)) < length) {
                throw truncated();
            }
        } catch (ErrnoException e) {
            throw new TorporException(
                    FailureReason.ImageDamaged,
                    "the disk cannot read channel " + channel + " at offset " + layout.offsetBytes(channel, number),
                    e);
        }
        unit.position(0).limit(length);
        CRC32C crc = new CRC32C();
        crc.update(unit.duplicate());
        int expected = checksums.getInt(layout.number(channel, number) * Integer.BYTES);
        if ((int) crc.getValue() != expected) {
            throw new TorporException(
                    FailureReason.ImageDamaged,
                    "the image is damaged: the checksum of channel " + channel + " at offset "
                            + layout.offsetBytes(channel, number) + " is "
                            + JsonFields.hex((int) crc.getValue()) + ", and " + JsonFields.hex(expected)
                            + " was committed");
        }
        return true;
    }

    /** Reads all of it; returns how many bytes that were. */
    long readAll(ImageProgress progress) throws IOException, TorporException {
        ByteBuffer unit = AlignedBuffer.allocate(ChannelLayout.UNIT_BYTES);
        long done = 0;
        progress.progress(0, layout.totalBytes());
        // As they stand in the file: a disk likes that best.
        boolean more = true;
        for (long number = 0; more; number++) {
            more = false;
            for (int channel = 0; channel < layout.lengthsBytes().size(); channel++) {
                if (read(channel, number, unit)) {
                    done += unit.limit();
                    more = true;
                    progress.progress(done, layout.totalBytes());
                }
            }
        }
        return done;
    }

    private static TorporException truncated() {
        return new TorporException(FailureReason.ImageTruncated, "the image ends in the middle of its streams");
    }
}
