package dev.torpor.agent.engine;

import dev.torpor.agent.image.ChannelLayout;
import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.Compression;
import dev.torpor.agent.image.ImageFiles;
import dev.torpor.agent.image.ImageHeader;
import dev.torpor.agent.image.ImageLayout;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.util.Optional;

/** Chooses the engine for a save, and finds the one for an image. */
public final class Engines {
    private static final String MAPPED_RAM = "mapped-ram";

    private Engines() {}

    /**
     * Decides by which engine and how a VM will be saved, or why it cannot be. Touches nothing. Where nobody asked for an
     * engine, QEMU writes the image itself if it can; if it cannot, or is to compress, its channels are recorded.
     *
     * @throws TorporException what the engine's plan throws; CapabilityMissing also if the one that was asked for cannot compress
     */
    public static SavePlan plan(VmFacts vm, SaveOptions options, QemuDirectEngine.StoreFacts store)
            throws TorporException {
        boolean compresses = options.compression().method() != Compression.Method.NONE;
        Engine engine = options.engine()
                .orElse(
                        compresses || !vm.capabilities().contains(MAPPED_RAM)
                                ? Engine.MULTIFD_STREAM
                                : Engine.QEMU_DIRECT);
        return switch (engine) {
            case QEMU_DIRECT -> {
                if (compresses) {
                    throw new TorporException(
                            FailureReason.CapabilityMissing,
                            "the engine " + Engine.QEMU_DIRECT.word() + " cannot compress: ask for the engine "
                                    + Engine.MULTIFD_STREAM.word() + ", or for no compression");
                }
                yield QemuDirectEngine.plan(vm, options, store);
            }
            case MULTIFD_STREAM -> MultifdStreamEngine.plan(vm, options, store);
        };
    }

    /** Saves a paused VM as planned; see {@link QemuDirectEngine#save}, {@link MultifdStreamEngine#save}. */
    public static SaveReport save(
            QmpClient qmp,
            SavePlan plan,
            ImageFiles files,
            MigrationFolder folder,
            Cancellation cancellation,
            ProgressListener listener)
            throws TorporException {
        return switch (plan.engine()) {
            case QEMU_DIRECT ->
                QemuDirectEngine.save(qmp, plan, files.all(), ImageHeader.STREAM_OFFSET_BYTES, cancellation, listener);
            case MULTIFD_STREAM -> MultifdStreamEngine.save(qmp, plan, files, folder, cancellation, listener);
        };
    }

    /** Returns the engine that reads a file of this layout. */
    public static Engine of(ImageLayout layout) {
        return layout.channels().isPresent() ? Engine.MULTIFD_STREAM : Engine.QEMU_DIRECT;
    }

    /** Tells whether an image can be read past the page cache, if its file system lets that be. */
    public static boolean readsDirectly(ImageLayout layout, VmFacts target) {
        return layout.channels().isPresent() || target.parameters().contains("direct-io");
    }

    /**
     * Feeds an image whole to a QEMU that waits for one; see {@link QemuDirectEngine#feed}, {@link MultifdStreamEngine#feed}.
     *
     * @param files of that image
     */
    public static LoadReport feed(
            QmpClient qmp,
            VmFacts target,
            CommittedImage image,
            ImageFiles files,
            MigrationFolder folder,
            Cancellation cancellation,
            ProgressListener listener)
            throws TorporException {
        Optional<ChannelLayout> channels = image.layout().channels();
        return channels.isPresent()
                ? MultifdStreamEngine.feed(qmp, target, channels.get(), files, folder, cancellation, listener)
                : QemuDirectEngine.feed(
                        qmp, target, files.all(), ImageHeader.STREAM_OFFSET_BYTES, cancellation, listener);
    }

    /** Feeds an image, and takes our settings back. */
    public static LoadReport load(
            QmpClient qmp,
            VmFacts target,
            CommittedImage image,
            ImageFiles files,
            MigrationFolder folder,
            Cancellation cancellation,
            ProgressListener listener)
            throws TorporException {
        LoadReport report = feed(qmp, target, image, files, folder, cancellation, listener);
        QemuDirectEngine.settle(qmp);
        return report;
    }
}
