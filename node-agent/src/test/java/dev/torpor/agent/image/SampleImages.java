package dev.torpor.agent.image;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.torpor.agent.linux.AlignedBuffer;
import dev.torpor.failure.TorporException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Random;

/** Small images of streams of channels, and what images are begun with. */
final class SampleImages {
    static final PartialIntent INTENT = new PartialIntent(
            ImageMode.SAVE,
            7,
            true,
            Optional.of(new ProcessIdentity("pod", "container", "boot", 42, 4711)),
            Instant.parse("2026-01-02T03:04:05Z"),
            true);
    static final Compression ZSTD_3 = new Compression(Compression.Method.ZSTD, OptionalInt.of(3));

    private static final int UNIT_BYTES = ChannelLayout.UNIT_BYTES;

    private SampleImages() {}

    /** A main channel as QEMU sends it: its beginning, something, and the end of device state. */
    static byte[] mainChannel(String machine, int bytes, byte[] end) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.write("QEVM".getBytes(UTF_8));
        out.write(ByteBuffer.allocate(9)
                .putInt(3)
                .put((byte) 7)
                .putInt(machine.length())
                .array());
        out.write(machine.getBytes(UTF_8));
        out.write(random(bytes));
        out.write(end);
        return out.toByteArray();
    }

    static byte[] mainChannel() throws IOException {
        return mainChannel(SampleStream.MACHINE, 1000, SampleStream.deviceState("{\"devices\":[]}"));
    }

    /** The same bytes for the same number of them. */
    static byte[] random(int bytes) {
        byte[] data = new byte[bytes];
        new Random(bytes).nextBytes(data);
        return data;
    }

    static ChannelLayout write(PartialImage partial, List<byte[]> streams) throws IOException, TorporException {
        return write(partial, false, streams);
    }

    static ChannelLayout write(PartialImage partial, boolean directIO, List<byte[]> streams)
            throws IOException, TorporException {
        try (ImageFiles files = partial.openForQemu(directIO)) {
            ChannelWriter writer = new ChannelWriter(files, streams.size());
            ByteBuffer unit = AlignedBuffer.allocate(UNIT_BYTES);
            // The last first: each channel's place is its own.
            for (int channel = streams.size() - 1; channel >= 0; channel--) {
                byte[] stream = streams.get(channel);
                for (int at = 0; at < stream.length; at += UNIT_BYTES) {
                    int n = Math.min(UNIT_BYTES, stream.length - at);
                    writer.add(channel, unit.clear().put(stream, at, n).flip());
                }
            }
            return writer.finish(ZSTD_3);
        }
    }

    static List<byte[]> read(CommittedImage image) throws IOException, TorporException {
        return read(image, false);
    }

    static List<byte[]> read(CommittedImage image, boolean directIO) throws IOException, TorporException {
        List<byte[]> streams = new ArrayList<>();
        try (ImageFiles files = image.openForQemu(directIO)) {
            ChannelReader reader =
                    ChannelReader.open(files, image.layout().channels().orElseThrow());
            ByteBuffer unit = AlignedBuffer.allocate(UNIT_BYTES);
            for (int channel = 0; channel < reader.layout().lengthsBytes().size(); channel++) {
                ByteArrayOutputStream out = new ByteArrayOutputStream();
                for (long number = 0; reader.read(channel, number, unit); number++) {
                    byte[] part = new byte[unit.remaining()];
                    unit.get(part);
                    out.write(part);
                }
                streams.add(out.toByteArray());
            }
        }
        return streams;
    }
}
