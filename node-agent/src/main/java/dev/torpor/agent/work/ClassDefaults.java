package dev.torpor.agent.work;

import dev.torpor.agent.engine.DirectIO;
import dev.torpor.agent.engine.Engine;
import dev.torpor.agent.engine.SaveOptions;
import dev.torpor.agent.image.Compression;
import dev.torpor.api.v1alpha1.CompressionMethod;
import dev.torpor.api.v1alpha1.EngineChoice;
import dev.torpor.api.v1alpha1.ParallelSpec;
import dev.torpor.api.v1alpha1.VMSnapshotClassSpec;
import java.util.Optional;
import java.util.OptionalInt;

/** What becomes of a save's own fields and of those of its class. */
final class ClassDefaults {
    private ClassDefaults() {}

    /** Returns what is wanted of a save: each of its own fields wins over its class's. */
    static SaveOptions of(Optional<ParallelSpec> own, Optional<VMSnapshotClassSpec> defaults) {
        Optional<ParallelSpec> general = defaults.map(VMSnapshotClassSpec::parallel);
        // A level belongs to the method beside it.
        Optional<ParallelSpec> compresses =
                own.filter(spec -> spec.compression() != null).or(() -> general);
        Optional<Integer> channels = own.map(ParallelSpec::channels).or(() -> general.map(ParallelSpec::channels));
        Optional<Boolean> directIO = own.map(ParallelSpec::directIO).or(() -> general.map(ParallelSpec::directIO));
        return new SaveOptions(
                number(channels),
                directIO.map(wanted -> wanted ? DirectIO.REQUIRED : DirectIO.OFF)
                        .orElse(DirectIO.AUTO),
                defaults.map(VMSnapshotClassSpec::bandwidthBytesPerSecond).orElse(0L),
                defaults.map(VMSnapshotClassSpec::engine).flatMap(ClassDefaults::engine),
                new Compression(
                        compresses
                                .map(ParallelSpec::compression)
                                .map(ClassDefaults::method)
                                .orElse(Compression.Method.NONE),
                        number(compresses.map(ParallelSpec::compressionLevel))));
    }

    /**
     * Returns what is wanted of a save for which there is no object and little time: what the class says of how memory is
     * saved; neither its limit of bandwidth, nor that it fail where there is no direct I/O.
     */
    static SaveOptions inHaste(Optional<VMSnapshotClassSpec> defaults) {
        SaveOptions all = of(Optional.empty(), defaults);
        DirectIO directIO = all.directIO() == DirectIO.REQUIRED ? DirectIO.AUTO : all.directIO();
        return new SaveOptions(all.channels(), directIO, 0, all.engine(), all.compression());
    }

    private static OptionalInt number(Optional<Integer> given) {
        return given.map(OptionalInt::of).orElseGet(OptionalInt::empty);
    }

    private static Optional<Engine> engine(EngineChoice choice) {
        return switch (choice) {
            case Auto -> Optional.empty();
            case QemuDirect -> Optional.of(Engine.QEMU_DIRECT);
            case MultifdStream -> Optional.of(Engine.MULTIFD_STREAM);
        };
    }

    private static Compression.Method method(CompressionMethod method) {
        return switch (method) {
            case None -> Compression.Method.NONE;
            case Zlib -> Compression.Method.ZLIB;
            case Zstd -> Compression.Method.ZSTD;
        };
    }
}
