package dev.torpor.agent.image;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * A Verified image of either engine is damaged thousands of times, anywhere: one bit, one byte, a run of bytes, a sector that
 * was meant for another place, an end that is missing. What a restore would load is the same as ever, or the image is
 * refused; a page that QEMU loads by itself may be let through, if the comparison with the checksums refuses it. A failure
 * names the seed and the damage.
 */
class DamagedImagesTest {
    private static final long SEED = 20260102;
    private static final int DAMAGES_OF_A_PLACE = 380;
    private static final int CUTS_OF_A_FILE = 200;
    private static final int BLOCK_BYTES = 64 << 10;
    private static final int SECTOR_BYTES = 512;
    private static final int RUN_BYTES_MAX = 64;
    private static final List<String> KINDS = List.of("bit", "byte", "run", "erased", "misdirected");

    /** Reasons that say so of an image; any other, or any other kind of error, is none. */
    private static final Set<FailureReason> REFUSALS = EnumSet.of(
            FailureReason.ImageDamaged,
            FailureReason.ImageTruncated,
            FailureReason.ImageIncomplete,
            FailureReason.ImageFormatTooNew);

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @SuppressWarnings("NullAway.Init")
    private ImageStore store;

    private final Random random = new Random(SEED);
    private final SampleStream sample = new SampleStream();
    private final Map<String, Map<Outcome, Integer>> counts = new LinkedHashMap<>();

    @BeforeEach
    void open() throws TorporException {
        store = ImageStore.open(temp.resolve("store"));
    }

    @AfterEach
    void close() throws TorporException {
        store.close();
    }

    /** What became of a damage. */
    private enum Outcome {
        REFUSED_BEFORE_LOADING,
        REFUSED_BY_THE_COMPARISON,
        WITHOUT_EFFECT
    }

    /**
     * Where damage is done.
     *
     * @param byComparison whether it may be that only the comparison with the checksums finds it
     */
    private record Place(String name, Path file, Extent extent, boolean byComparison) {}

    /** What a restore goes by: all that it reads of the image and its record. */
    private interface Loading {
        List<ByteBuffer> load(CommittedImage image) throws IOException, TorporException;
    }

    @Test
    void pagesAtTheirPlaces() throws Exception {
        sample.blocks = List.of(
                new SampleStream.Block("pc.ram", BLOCK_BYTES, List.of(0, 1, 9)),
                new SampleStream.Block("vga.vram", BLOCK_BYTES, List.of()),
                new SampleStream.Block("pc.bios", 8192, List.of(1)));
        PartialImage partial = store.create(SampleStream.ID, SampleImages.INTENT);
        sample.compose().writeTo(file());
        partial.commit(sample.header(), sample.pages());
        assertThat(store.verify(SampleStream.ID, (_, _) -> {})).isTrue();

        ImageLayout layout = store.open(SampleStream.ID).layout();
        List<Place> places = new ArrayList<>(ofAnyImage());
        List<Extent> headers = MappedRamStream.parse(
                        sample.compose(),
                        ImageHeader.STREAM_OFFSET_BYTES,
                        new MappedRamStream.Bounds(layout.sizeBytes(), 1 << 20))
                .headers();
        for (Extent extent : headers) {
            places.add(new Place("stream headers", file(), extent, false));
        }
        for (RamBlock block : layout.blocks()) {
            long behindBitmap = block.bitmap().endBytes();
            places.add(new Place("bitmap", file(), block.bitmap(), false));
            places.add(new Place(
                    "before pages",
                    file(),
                    new Extent(behindBitmap, block.pages().offsetBytes() - behindBitmap),
                    false));
            places.add(new Place("pages of " + block.name(), file(), block.pages(), true));
        }
        places.add(new Place(
                "device state",
                file(),
                new Extent(layout.deviceStateOffsetBytes(), layout.sizeBytes() - layout.deviceStateOffsetBytes()),
                false));
        places.add(whole("table", beside(SampleStream.ID.checksumsName()), true));
        damageAll(places, image -> {
            List<ByteBuffer> loaded = new ArrayList<>();
            ImageLayout now = image.layout();
            try (ImageFiles files = image.openForQemu(false)) {
                for (RamBlock block : now.blocks()) {
                    // All of it, pages or not: a guest that has it mapped sees what is there.
                    loaded.add(read(files, block.bitmap()));
                    loaded.add(read(files, block.pages()));
                }
                loaded.add(read(
                        files,
                        new Extent(now.deviceStateOffsetBytes(), now.sizeBytes() - now.deviceStateOffsetBytes())));
            }
            return loaded;
        });
        print("qemu-direct");
    }

    @Test
    void streamsOfChannels() throws Exception {
        PartialImage partial = store.create(SampleStream.ID, SampleImages.INTENT);
        List<byte[]> streams = List.of(SampleImages.mainChannel(), SampleImages.random(9000), SampleImages.random(64));
        partial.commit(sample.header(), SampleImages.write(partial, streams));
        assertThat(store.verify(SampleStream.ID, (_, _) -> {})).isTrue();

        ChannelLayout layout = store.open(SampleStream.ID).layout().channels().orElseThrow();
        List<Place> places = new ArrayList<>(ofAnyImage());
        for (int channel = 0; channel < streams.size(); channel++) {
            Extent unit = new Extent(layout.offsetBytes(channel, 0), layout.unitBytes(channel, 0));
            places.add(new Place("channel " + channel, file(), unit, false));
            places.add(new Place(
                    "filling",
                    file(),
                    new Extent(unit.endBytes(), ChannelLayout.UNIT_BYTES - unit.lengthBytes()),
                    false));
        }
        places.add(new Place("checksums", file(), layout.checksums(), false));
        damageAll(places, image -> {
            List<ByteBuffer> loaded = new ArrayList<>();
            for (byte[] stream : SampleImages.read(image)) {
                loaded.add(ByteBuffer.wrap(stream));
            }
            return loaded;
        });
        print("multifd-stream");
    }

    private List<Place> ofAnyImage() throws IOException {
        Path record = beside(SampleStream.ID.recordName());
        int json = ByteBuffer.wrap(Files.readAllBytes(file())).getInt(12);
        long header = (long) HeaderArea.FIXED_BYTES + json;
        return List.of(
                whole("record", record, false),
                new Place("header", file(), new Extent(0, header), false),
                new Place(
                        "behind the header",
                        file(),
                        new Extent(header, ImageHeader.STREAM_OFFSET_BYTES - header),
                        false));
    }

    private static Place whole(String name, Path file, boolean byComparison) throws IOException {
        return new Place(name, file, new Extent(0, Files.size(file)), byComparison);
    }

    private void damageAll(List<Place> places, Loading loading) throws Exception {
        ImageRecord record = store.record(SampleStream.ID).orElseThrow();
        ImageHeader header = store.open(SampleStream.ID).header();
        List<ByteBuffer> loaded = loading.load(store.open(SampleStream.ID));
        for (Place place : places) {
            byte[] sound = Files.readAllBytes(place.file());
            for (int n = 0; n < DAMAGES_OF_A_PLACE; n++) {
                Damage damage = damage(place.extent(), sound);
                try (FileChannel file = FileChannel.open(place.file(), StandardOpenOption.WRITE)) {
                    file.write(damage.bytes().duplicate(), damage.offset());
                    count(place, damage, outcome(place, damage, record, header, loaded, loading));
                    file.write(
                            ByteBuffer.wrap(
                                    sound, (int) damage.offset(), damage.bytes().capacity()),
                            damage.offset());
                }
            }
        }
        for (Path file : places.stream().map(Place::file).distinct().toList()) {
            Place whole =
                    whole("end of " + file.getFileName(), file, file.toString().endsWith(".crc"));
            byte[] sound = Files.readAllBytes(file);
            for (int n = 0; n < CUTS_OF_A_FILE; n++) {
                Damage cut = new Damage("cut", random.nextInt(sound.length), ByteBuffer.allocate(0));
                try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
                    channel.truncate(cut.offset());
                    count(whole, cut, outcome(whole, cut, record, header, loaded, loading));
                    rewrite(channel, sound, (int) cut.offset());
                }
            }
        }
        // Nothing of all that was left behind.
        assertThat(loading.load(store.open(SampleStream.ID))).isEqualTo(loaded);
        assertThat(store.open(SampleStream.ID).verify((_, _) -> {}).compared()).isTrue();
    }

    private record Damage(String kind, long offset, ByteBuffer bytes) {}

    /** One that changes something. */
    private Damage damage(Extent extent, byte[] sound) {
        while (true) {
            int offset = (int) (extent.offsetBytes() + random.nextLong(extent.lengthBytes()));
            int left = (int) (extent.endBytes() - offset);
            byte[] run = Arrays.copyOfRange(sound, offset, offset + Math.min(left, 1 + random.nextInt(RUN_BYTES_MAX)));
            String kind = KINDS.get(random.nextInt(KINDS.size()));
            byte[] bytes =
                    switch (kind) {
                        case "bit" -> new byte[] {(byte) (sound[offset] ^ 1 << random.nextInt(Byte.SIZE))};
                        case "byte" -> new byte[] {(byte) random.nextInt()};
                        case "run" -> {
                            random.nextBytes(run);
                            yield run;
                        }
                        case "erased" -> {
                            Arrays.fill(run, (byte) (random.nextBoolean() ? 0 : -1));
                            yield run;
                        }
                        case "misdirected" -> {
                            int from = random.nextInt(sound.length);
                            int length = Math.min(Math.min(left, SECTOR_BYTES), sound.length - from);
                            yield Arrays.copyOfRange(sound, from, from + length);
                        }
                        default -> throw new IllegalStateException(kind);
                    };
            if (!Arrays.equals(bytes, Arrays.copyOfRange(sound, offset, offset + bytes.length))) {
                return new Damage(kind, offset, ByteBuffer.wrap(bytes));
            }
        }
    }

    private Outcome outcome(
            Place place,
            Damage damage,
            ImageRecord record,
            ImageHeader header,
            List<ByteBuffer> loaded,
            Loading loading) {
        String about = "seed " + SEED + ", " + place.name() + ", " + damage.kind() + " at " + damage.offset() + ", "
                + damage.bytes().capacity() + " bytes";
        boolean opened = false;
        boolean same = false;
        try {
            CommittedImage image = store.open(SampleStream.ID);
            image.requireRestorable();
            assertThat(image.record()).as(about).contains(record);
            assertThat(image.header()).as(about).isEqualTo(header);
            same = loading.load(image).equals(loaded);
            opened = true;
            assertThat(image.verify((_, _) -> {}).compared()).as(about).isTrue();
            assertThat(same).as(about + ": memory that nobody refuses").isTrue();
            return Outcome.WITHOUT_EFFECT;
        } catch (TorporException e) {
            assertThat(e.reason()).as(about).isIn(REFUSALS);
            if (!opened) {
                return Outcome.REFUSED_BEFORE_LOADING;
            }
            assertThat(place.byComparison())
                    .as(about + ": refused too late: " + e.getMessage())
                    .isTrue();
            return Outcome.REFUSED_BY_THE_COMPARISON;
        } catch (IOException | RuntimeException e) {
            throw new AssertionError(about + ": an agent would not survive it", e);
        }
    }

    private void count(Place place, Damage damage, Outcome outcome) {
        String row = damage.kind().equals("cut") ? "ends cut off" : place.name();
        var _ = counts.computeIfAbsent(row, _ -> new EnumMap<>(Outcome.class)).merge(outcome, 1, Integer::sum);
    }

    private void print(String engine) {
        int all = counts.values().stream()
                .flatMap(of -> of.values().stream())
                .mapToInt(Integer::intValue)
                .sum();
        StringBuilder table = new StringBuilder(
                "figure: damaged images: %s, seed %d: %d damages, all noticed or without effect; of each kind: refused before loading, by the comparison, without effect%n"
                        .formatted(engine, SEED, all));
        counts.forEach((row, of) -> {
            table.append("  %-20s".formatted(row));
            for (Outcome outcome : Outcome.values()) {
                table.append(" %5d".formatted(of.getOrDefault(outcome, 0)));
            }
            table.append('\n');
        });
        System.out.print(table);
        assertThat(all).isGreaterThan(4000);
    }

    private static ByteBuffer read(ImageFiles files, Extent extent) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate((int) extent.lengthBytes());
        files.buffered().read(bytes, extent.offsetBytes());
        return bytes.clear();
    }

    /** Only what is not zero is written again: holes stay holes. */
    private static void rewrite(FileChannel file, byte[] sound, int from) throws IOException {
        for (int at = from; at < sound.length; at += SECTOR_BYTES) {
            int length = Math.min(SECTOR_BYTES, sound.length - at);
            boolean last = at + length == sound.length;
            if (last || !Arrays.equals(sound, at, at + length, new byte[length], 0, length)) {
                file.write(ByteBuffer.wrap(sound, at, length), at);
            }
        }
    }

    private Path file() {
        return temp.resolve("store").resolve(SampleStream.ID.relativePath());
    }

    private Path beside(String name) {
        return file().resolveSibling(name);
    }
}
