package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.engine.DirectIO;
import dev.torpor.agent.engine.Engine;
import dev.torpor.agent.engine.SaveOptions;
import dev.torpor.agent.image.Compression;
import dev.torpor.agent.image.Compression.Method;
import dev.torpor.api.v1alpha1.ParallelSpec;
import dev.torpor.api.v1alpha1.VMSnapshotClass;
import dev.torpor.api.v1alpha1.VMSnapshotClassSpec;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.util.Optional;
import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ClassDefaultsTest {
    @Test
    void withNeitherAllIsChosen() {
        assertThat(ClassDefaults.of(Optional.empty(), Optional.empty())).isEqualTo(SaveOptions.DEFAULT);
        assertThat(ClassDefaults.inHaste(Optional.empty())).isEqualTo(SaveOptions.DEFAULT);
        assertThat(ClassDefaults.of(parallel(""), spec(""))).isEqualTo(SaveOptions.DEFAULT);
    }

    @ParameterizedTest
    @CsvSource({
        // The class's, if the save has none of its own.
        "'',                                        'compression: Zstd, compressionLevel: 9', ZSTD, 9",
        "'channels: 2',                             'compression: Zstd, compressionLevel: 9', ZSTD, 9",
        "'',                                        'compression: Zlib',                      ZLIB,",
        // A level goes with its method, whoever has set another one.
        "'compression: Zlib',                       'compression: Zstd, compressionLevel: 9', ZLIB,",
        "'compression: Zstd',                       'compression: Zstd, compressionLevel: 9', ZSTD,",
        "'compression: Zlib, compressionLevel: 3',  'compression: Zstd, compressionLevel: 9', ZLIB, 3",
        "'compression: Zlib, compressionLevel: 0',  '',                                       ZLIB, 0",
        "'compression: None',                       'compression: Zstd, compressionLevel: 9', NONE,",
        "'',                                        'channels: 2',                            NONE,"
    })
    void aMethodComesWithItsLevel(String own, String ofClass, Method method, @Nullable Integer level) {
        Compression expected = new Compression(method, level == null ? OptionalInt.empty() : OptionalInt.of(level));
        assertThat(ClassDefaults.of(parallel(own), spec("parallel: {" + ofClass + "}"))
                        .compression())
                .isEqualTo(expected);
    }

    @Test
    void eachFieldOfItsOwnWins() {
        Optional<VMSnapshotClassSpec> all =
                spec("engine: MultifdStream, bandwidthBytesPerSecond: 7, parallel: {channels: 2, directIO: true}");
        assertThat(ClassDefaults.of(Optional.empty(), all))
                .isEqualTo(new SaveOptions(OptionalInt.of(2), DirectIO.REQUIRED, 7).with(Engine.MULTIFD_STREAM));
        assertThat(ClassDefaults.of(parallel("channels: 5"), all))
                .isEqualTo(new SaveOptions(OptionalInt.of(5), DirectIO.REQUIRED, 7).with(Engine.MULTIFD_STREAM));
        assertThat(ClassDefaults.of(parallel("directIO: false"), all))
                .isEqualTo(new SaveOptions(OptionalInt.of(2), DirectIO.OFF, 7).with(Engine.MULTIFD_STREAM));
        assertThat(ClassDefaults.of(Optional.empty(), spec("engine: QemuDirect"))
                        .engine())
                .contains(Engine.QEMU_DIRECT);
        assertThat(ClassDefaults.of(Optional.empty(), spec("engine: Auto")).engine())
                .isEmpty();
    }

    @Test
    void inHasteThereIsNoLimitAndNothingIsRequiredOfTheDisk() {
        Optional<VMSnapshotClassSpec> all = spec("engine: MultifdStream, bandwidthBytesPerSecond: 7,"
                + " parallel: {channels: 2, directIO: true, compression: Zstd, compressionLevel: 1}");
        assertThat(ClassDefaults.inHaste(all))
                .isEqualTo(new SaveOptions(OptionalInt.of(2), DirectIO.AUTO, 0)
                        .with(Engine.MULTIFD_STREAM)
                        .with(new Compression(Method.ZSTD, OptionalInt.of(1))));
        assertThat(ClassDefaults.inHaste(spec("parallel: {directIO: false}")).directIO())
                .isEqualTo(DirectIO.OFF);
    }

    private static Optional<ParallelSpec> parallel(String fields) {
        return fields.isEmpty()
                ? Optional.empty()
                : Optional.of(Serialization.unmarshal(fields.replace(", ", "\n"), ParallelSpec.class));
    }

    private static Optional<VMSnapshotClassSpec> spec(String fields) {
        return Optional.of(Serialization.unmarshal("metadata: {name: c}\nspec: {" + fields + "}", VMSnapshotClass.class)
                .getSpec());
    }
}
