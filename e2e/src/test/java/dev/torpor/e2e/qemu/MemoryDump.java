package dev.torpor.e2e.qemu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.ImageFiles;
import dev.torpor.agent.image.ImageHeader;
import dev.torpor.agent.image.MappedRamStream;
import dev.torpor.agent.image.RamBlock;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/**
 * All guest-physical RAM of a paused guest of {@link Vm#guest}, as QEMU reads it to us.
 *
 * @param low what is below 4 GiB
 * @param high what is above
 */
record MemoryDump(Path low, Path high) {
    private static final long LOW_BYTES = (long) Vm.BELOW_4G_MIB << 20;
    private static final long HIGH_BYTES = (long) (Vm.MEMORY_MIB - Vm.BELOW_4G_MIB) << 20;
    private static final long HIGH_ADDRESS = 1L << 32;
    // From 640 KiB to 1 MiB a PC shows video memory and ROMs in place of RAM.
    private static final long HIDDEN_FROM_BYTES = 640 << 10;
    private static final long HIDDEN_TO_BYTES = 1 << 20;
    private static final int CHUNK_BYTES = 64 << 10;

    static MemoryDump of(QmpClient qmp, Path folder, String name) throws TorporException {
        MemoryDump dump = new MemoryDump(folder.resolve(name + ".low"), folder.resolve(name + ".high"));
        save(qmp, 0, LOW_BYTES, dump.low);
        save(qmp, HIGH_ADDRESS, HIGH_BYTES, dump.high);
        return dump;
    }

    private static void save(QmpClient qmp, long address, long bytes, Path file) throws TorporException {
        qmp.execute("pmemsave", Map.of("val", address, "size", bytes, "filename", file.toString()));
    }

    void assertSameAs(MemoryDump other) throws IOException {
        assertThat(Files.size(low)).isEqualTo(LOW_BYTES);
        assertThat(Files.size(high)).isEqualTo(HIGH_BYTES);
        assertThat(Files.mismatch(low, other.low))
                .as("first difference below 4 GiB")
                .isEqualTo(-1);
        assertThat(Files.mismatch(high, other.high))
                .as("first difference above 4 GiB")
                .isEqualTo(-1);
    }

    /** Compares with the pages in an image, read from its file by what its stream says. */
    void assertSameAs(CommittedImage image) throws IOException, TorporException {
        try (ImageFiles files = image.openForQemu(false);
                FileChannel lowPages = FileChannel.open(low);
                FileChannel highPages = FileChannel.open(high)) {
            Descriptor file = files.buffered();
            RamBlock block = MappedRamStream.parse(
                            file::read,
                            ImageHeader.STREAM_OFFSET_BYTES,
                            new MappedRamStream.Bounds(image.sizeBytes(), 1L << 30))
                    .blocks()
                    .stream()
                    .filter(candidate -> candidate.name().equals("pc.ram"))
                    .findFirst()
                    .orElseThrow();
            assertThat(block.usedBytes()).isEqualTo(LOW_BYTES + HIGH_BYTES);
            ByteBuffer bitmap = read(
                    file, block.bitmap().offsetBytes(), (int) block.bitmap().lengthBytes());
            for (long at = 0; at < block.usedBytes(); at += CHUNK_BYTES) {
                if (at >= HIDDEN_FROM_BYTES && at < HIDDEN_TO_BYTES) {
                    continue;
                }
                ByteBuffer inGuest = ByteBuffer.allocate(CHUNK_BYTES);
                int n = at < LOW_BYTES ? lowPages.read(inGuest, at) : highPages.read(inGuest, at - LOW_BYTES);
                assertThat(n).isEqualTo(CHUNK_BYTES);
                ByteBuffer inImage = read(file, block.pages().offsetBytes() + at, CHUNK_BYTES);
                clearAbsent(inImage, bitmap, at, (int) block.pageBytes());
                assertThat(inImage.mismatch(inGuest.flip()))
                        .as("first difference after RAM offset " + at)
                        .isEqualTo(-1);
            }
        }
    }

    /** A page whose bit is clear is zero, whatever the file holds at its place. */
    private static void clearAbsent(ByteBuffer chunk, ByteBuffer bitmap, long at, int pageBytes) {
        for (int offset = 0; offset < chunk.limit(); offset += pageBytes) {
            long page = (at + offset) / pageBytes;
            if ((bitmap.get((int) (page / Byte.SIZE)) >> (page % Byte.SIZE) & 1) == 0) {
                chunk.put(offset, new byte[pageBytes]);
            }
        }
    }

    private static ByteBuffer read(Descriptor file, long offset, int length) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
        assertThat(file.read(buffer, offset)).isEqualTo(length);
        return buffer.flip();
    }

    void delete() throws IOException {
        Files.delete(low);
        Files.delete(high);
    }
}
