package dev.torpor.agent.image;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/** Composes a small mapped-ram stream as QEMU 10.0 writes it: two blocks, device state with its description. */
final class SampleStream {
    static final String MACHINE = "pc-q35-10.0";
    static final long PAGE = 4096;
    static final ImageId ID = new ImageId("default", "vm1", "5d6f1c7e-0000-4000-8000-000000000001");
    private static final int MIB = 1 << 20;

    record Block(String name, long usedBytes, List<Integer> presentPages) {}

    String machine = MACHINE;
    List<String> capabilities = new ArrayList<>(List.of("mapped-ram"));
    List<Block> blocks = new ArrayList<>(
            List.of(new Block("pc.ram", 2 * MIB, List.of(0, 1, 300)), new Block("pc.bios", 8192, List.of(1))));
    byte[] deviceState = deviceState("{\"devices\":[]}");

    /** A file's content with holes: parts at offsets. */
    record Content(TreeMap<Long, byte[]> parts, long sizeBytes) implements ByteSource {
        @Override
        public int read(ByteBuffer buffer, long offsetBytes) {
            int n = Math.clamp(sizeBytes - offsetBytes, 0, buffer.remaining());
            byte[] bytes = new byte[n];
            parts.forEach((at, part) -> {
                for (int i = 0; i < part.length; i++) {
                    long target = at + i - offsetBytes;
                    if (target >= 0 && target < n) {
                        bytes[(int) target] = part[i];
                    }
                }
            });
            buffer.put(bytes);
            return n;
        }

        void writeTo(Path file) {
            try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
                for (Map.Entry<Long, byte[]> part : parts.entrySet()) {
                    channel.write(ByteBuffer.wrap(part.getValue()), part.getKey());
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        Content patched(long offset, byte[] bytes) {
            TreeMap<Long, byte[]> copy = new TreeMap<>();
            parts.forEach((at, part) -> {
                byte[] changed = part.clone();
                for (int i = 0; i < bytes.length; i++) {
                    long target = offset + i - at;
                    if (target >= 0 && target < part.length) {
                        changed[(int) target] = bytes[i];
                    }
                }
                copy.put(at, changed);
            });
            return new Content(copy, sizeBytes);
        }
    }

    static byte[] deviceState(String description) {
        Bytes out = new Bytes()
                .u64(0x10)
                .u8(0x7E)
                .u32(2)
                .raw("some devices".getBytes(UTF_8))
                .u8(0);
        byte[] json = description.getBytes(UTF_8);
        return json.length == 0
                ? out.done()
                : out.u8(6).u32(json.length).raw(json).done();
    }

    long pages() {
        return blocks.stream().mapToLong(b -> b.presentPages().size()).sum();
    }

    Content compose() {
        return compose(ImageHeader.STREAM_OFFSET_BYTES);
    }

    /** Composes it to begin anywhere. */
    Content compose(long startBytes) {
        TreeMap<Long, byte[]> parts = new TreeMap<>();
        Bytes head = new Bytes()
                .raw("QEVM".getBytes(UTF_8))
                .u32(3)
                .u8(7)
                .u32(machine.length())
                .raw(machine.getBytes(UTF_8));
        head.u8(5).name("configuration/capabilities").u32(1).u32(capabilities.size());
        capabilities.forEach(head::name);
        head.u8(1).u32(2).name("ram").u32(0).u32(4);
        head.u64(blocks.stream().mapToLong(Block::usedBytes).sum() | 4);
        long at = startBytes;
        for (Block block : blocks) {
            head.name(block.name()).u64(block.usedBytes());
            if (capabilities.contains("x-ignore-shared")) {
                head.u64(0x1000_0000);
            }
            long bitmapOffset = at + head.size() + 28;
            long bitmapBytes = (block.usedBytes() / PAGE + 63) / 64 * 8;
            long pagesOffset = (bitmapOffset + bitmapBytes + MIB - 1) / MIB * MIB;
            head.u32(1).u64(PAGE).u64(bitmapOffset).u64(pagesOffset);
            parts.put(at, head.done());
            parts.put(bitmapOffset, bitmap(block, (int) bitmapBytes));
            for (int page : block.presentPages()) {
                byte[] content = new byte[(int) PAGE];
                Arrays.fill(content, (byte) (page + 1));
                parts.put(pagesOffset + page * PAGE, content);
            }
            at = pagesOffset + block.usedBytes();
            head = new Bytes();
        }
        parts.put(at, deviceState);
        return new Content(parts, at + deviceState.length);
    }

    private static byte[] bitmap(Block block, int bytes) {
        ByteBuffer bitmap = ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
        for (int page : block.presentPages()) {
            int word = page / 64 * 8;
            bitmap.putLong(word, bitmap.getLong(word) | 1L << (page % 64));
        }
        return bitmap.array();
    }

    VmDefinition definition() {
        return new VmDefinition(
                "10.0.2",
                machine,
                2,
                "3f2b5a3e-0000-4000-8000-0000000000ff",
                "qemu64-x86_64-cpu",
                "tcg",
                List.of("0000:00:01.0 virtio-rng-pci"),
                new TreeMap<>(Map.of(blocks.getFirst().name(), blocks.getFirst().usedBytes())),
                blocks.getFirst().usedBytes(),
                new TreeMap<>(Map.of("1.ECX", 0x8000_2001L, "7.0.EBX", 0L)));
    }

    ImageHeader header() {
        return new ImageHeader(
                ID,
                ImageMode.SAVE,
                definition(),
                "qemu-direct",
                4,
                true,
                7,
                true,
                Instant.parse("2026-01-02T03:04:05Z"),
                Instant.parse("2026-01-02T03:04:06.789Z"),
                new VmDisks(
                        List.of(new VmDisks.Claim("data", "c1")),
                        List.of(
                                new VmDisks.DiskFile(
                                        "/disks/a",
                                        "file",
                                        512,
                                        Optional.of(Instant.parse("2026-01-02T03:04:05.123456789Z"))),
                                new VmDisks.DiskFile("/dev/sdx", "host_device", 1024, Optional.empty()))));
    }

    /** Big-endian bytes, as QEMU writes them. */
    static final class Bytes {
        private final ByteArrayOutputStream out = new ByteArrayOutputStream();

        Bytes u8(int value) {
            out.write(value);
            return this;
        }

        Bytes u32(long value) {
            return raw(ByteBuffer.allocate(4).putInt((int) value).array());
        }

        Bytes u64(long value) {
            return raw(ByteBuffer.allocate(8).putLong(value).array());
        }

        Bytes name(String name) {
            return u8(name.length()).raw(name.getBytes(UTF_8));
        }

        Bytes raw(byte[] bytes) {
            out.writeBytes(bytes);
            return this;
        }

        int size() {
            return out.size();
        }

        byte[] done() {
            return out.toByteArray();
        }
    }
}
