package dev.torpor.agent.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Objects;
import java.util.zip.GZIPInputStream;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Stores as older releases left them, one for each version of the image format: never edited, and read by every later
 * release. {@link #main} made them.
 */
class FormatFixturesTest {
    private static final List<String> FILES = List.of(
            "store.json",
            SampleStream.ID.relativePath(),
            SampleStream.ID.relativePath().replace(ImageStore.FILE_SUFFIX, ImageStore.RECORD_SUFFIX),
            SampleStream.ID.relativePath().replace(ImageStore.FILE_SUFFIX, ImageStore.CHECKSUMS_SUFFIX));

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @ParameterizedTest
    @ValueSource(ints = {1, 2})
    void anImageOfEachReleasedVersionIsReadWhole(int version) throws Exception {
        try (ImageStore store = ImageStore.open(unpacked(version))) {
            assertThat(store.storeID()).isEqualTo("0b8f1f9e-0000-4000-8000-00000000000" + version);
            CommittedImage image = store.open(SampleStream.ID);
            assertThat(image.formatVersion()).isEqualTo(version);
            assertThat(image.header()).isEqualTo(new SampleStream().header());
            assertThat(image.record().orElseThrow().intent()).isEqualTo(SampleImages.INTENT);
            image.requireRestorable();
            assertThat(image.verify((_, _) -> {}).compared()).isTrue();
            if (version == ImageHeader.FORMAT_VERSION_OF_CHANNELS) {
                assertThat(SampleImages.read(image)).usingRecursiveComparison().isEqualTo(streams());
            } else {
                assertThat(image.layout().presentPages()).isEqualTo(new SampleStream().pages());
            }
            // It goes on its way like one of this release.
            store.transition(
                    SampleStream.ID,
                    new ImageState.HandedOver(SampleImages.INTENT.source().orElseThrow()));
            store.transition(SampleStream.ID, new ImageState.Consumed());
        }
    }

    @Test
    void aNewerVersionIsRefusedWithTheReleaseThatReadsIt() throws Exception {
        Path path = unpacked(2);
        try (FileChannel file =
                FileChannel.open(path.resolve(SampleStream.ID.relativePath()), StandardOpenOption.WRITE)) {
            file.write(ByteBuffer.allocate(4).putInt(0, 3), 8);
        }
        try (ImageStore store = ImageStore.open(path)) {
            assertThatThrownBy(() -> store.open(SampleStream.ID))
                    .isInstanceOfSatisfying(TorporException.class, e -> assertThat(e.reason())
                            .isEqualTo(FailureReason.ImageFormatTooNew))
                    .hasMessage(
                            "the image has format version 3; this release reads up to 2: Torpor 0.1.0 or later reads"
                                    + " it");
        }
    }

    private Path unpacked(int version) throws IOException {
        Path store = temp.resolve("format-" + version);
        for (String name : FILES) {
            String resource = "format-" + version + "/" + Path.of(name).getFileName() + ".gz";
            Path target = store.resolve(name);
            Files.createDirectories(target.getParent());
            try (InputStream packed =
                            Objects.requireNonNull(FormatFixturesTest.class.getResourceAsStream(resource), resource);
                    InputStream in = new GZIPInputStream(packed)) {
                Files.copy(in, target);
            }
        }
        return store;
    }

    private static List<byte[]> streams() throws IOException {
        return List.of(SampleImages.mainChannel(), SampleImages.random(9000), SampleImages.random(64));
    }

    /**
     * Makes the fixtures of the newest versions, for a folder of resources that is empty: those that were released stay as they
     * are.
     */
    static void main(String[] arguments) throws Exception {
        for (int version = 1; version <= 2; version++) {
            Path path = Files.createTempDirectory("fixture");
            SampleStream sample = new SampleStream();
            try (ImageStore store = ImageStore.open(path)) {
                PartialImage partial = store.create(SampleStream.ID, SampleImages.INTENT);
                if (version == ImageHeader.FORMAT_VERSION_OF_CHANNELS) {
                    partial.commit(sample.header(), SampleImages.write(partial, streams()));
                } else {
                    sample.compose().writeTo(path.resolve(SampleStream.ID.relativePath()));
                    partial.commit(sample.header(), sample.pages());
                }
                store.verify(SampleStream.ID, (_, _) -> {});
            }
            Files.write(
                    path.resolve("store.json"),
                    SampleJson.resealed(
                            Files.readAllBytes(path.resolve("store.json")),
                            "storeID",
                            "'0b8f1f9e-0000-4000-8000-00000000000" + version + "'"));
            for (String name : FILES) {
                byte[] content = Files.readAllBytes(path.resolve(name));
                if (version == 1 && name.endsWith(".json")) {
                    content = SampleJson.withoutChecksum(content); // of before there were any
                }
                Path target =
                        Path.of(arguments[0], "format-" + version, Path.of(name).getFileName() + ".gz");
                Files.createDirectories(target.getParent());
                try (OutputStream out =
                        new GZIPOutputStream(Files.newOutputStream(target, StandardOpenOption.CREATE_NEW))) {
                    out.write(content);
                }
            }
        }
    }
}
