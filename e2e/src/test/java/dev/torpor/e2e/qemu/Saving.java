package dev.torpor.e2e.qemu;

import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.engine.DirectIO;
import dev.torpor.agent.engine.Guest;
import dev.torpor.agent.engine.LoadReport;
import dev.torpor.agent.engine.ProgressListener;
import dev.torpor.agent.engine.QemuDirectEngine;
import dev.torpor.agent.engine.QemuDirectEngine.StoreFacts;
import dev.torpor.agent.engine.QemuProbe;
import dev.torpor.agent.engine.RestoreChecks;
import dev.torpor.agent.engine.SaveOptions;
import dev.torpor.agent.engine.SavePlan;
import dev.torpor.agent.engine.SaveReport;
import dev.torpor.agent.engine.VmFacts;
import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.ImageFiles;
import dev.torpor.agent.image.ImageHeader;
import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.image.PartialImage;
import dev.torpor.agent.image.PartialIntent;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.UUID;

/** One save as the agent does it: every step of the order that the engine asks for, in it. */
final class Saving {
    private static final ProgressListener NOBODY = (_, _) -> {};

    private final Vm vm;
    private final VmFacts facts;
    private final SavePlan plan;
    private final PartialImage partial;
    private final boolean wasRunning;

    private Saving(Vm vm, ImageStore store, SaveOptions options, StoreFacts space) throws TorporException {
        this.vm = vm;
        facts = QemuProbe.probe(vm.qmp());
        plan = QemuDirectEngine.plan(facts, options, space);
        wasRunning = facts.runState().running();
        ImageId id = new ImageId("vms", "web-1", UUID.randomUUID().toString());
        partial = store.create(
                id, new PartialIntent(ImageMode.CHECKPOINT, 0, wasRunning, Optional.empty(), Instant.now()));
        Guest.pause(vm.qmp());
        QemuDirectEngine.requireMigratable(QemuProbe.blockedReasons(vm.qmp()));
    }

    /** Prepares up to the paused guest and the empty file. */
    static Saving begin(Vm vm, ImageStore store, SaveOptions options) throws TorporException {
        return begin(vm, store, options, new StoreFacts(store.freeBytes(), store.directIO()));
    }

    /** Prepares, with another word on the store's space than its own: somebody else may take it meanwhile. */
    static Saving begin(Vm vm, ImageStore store, SaveOptions options, StoreFacts space) throws TorporException {
        return new Saving(vm, store, options, space);
    }

    /** Saves with everything chosen. */
    static CommittedImage save(Vm vm, ImageStore store) throws IOException, TorporException {
        Saving saving = begin(vm, store, SaveOptions.DEFAULT);
        return saving.commit(saving.write(new Cancellation(), NOBODY));
    }

    static SaveOptions options(int channels, DirectIO directIO) {
        return new SaveOptions(OptionalInt.of(channels), directIO, 0);
    }

    SavePlan plan() {
        return plan;
    }

    ImageId id() {
        return partial.id();
    }

    SaveReport write(Cancellation cancellation, ProgressListener listener) throws IOException, TorporException {
        try (ImageFiles files = partial.openForQemu(plan.directIO())) {
            return QemuDirectEngine.save(
                    vm.qmp(), plan, files.all(), ImageHeader.STREAM_OFFSET_BYTES, cancellation, listener);
        }
    }

    CommittedImage commit(SaveReport report) throws TorporException {
        return partial.commit(
                new ImageHeader(
                        id(),
                        ImageMode.CHECKPOINT,
                        facts.definition(),
                        QemuDirectEngine.NAME,
                        plan.channels(),
                        plan.directIO(),
                        0,
                        wasRunning,
                        Instant.now(),
                        Instant.now()),
                report.normalPages());
    }

    void abandon() throws TorporException {
        partial.abandon();
    }

    /** Checks and loads, and leaves the guest as it was saved: paused. */
    static LoadReport load(Vm target, CommittedImage image, boolean directIO) throws IOException, TorporException {
        RestoreChecks.compare(image.header().vm(), QemuProbe.probe(target.qmp()));
        return loadUnchecked(target, image, directIO);
    }

    /** Loads whatever the target is. */
    static LoadReport loadUnchecked(Vm target, CommittedImage image, boolean directIO)
            throws IOException, TorporException {
        VmFacts facts = QemuProbe.probe(target.qmp());
        try (ImageFiles files = image.openForQemu(directIO)) {
            return QemuDirectEngine.load(
                    target.qmp(), facts, files.all(), ImageHeader.STREAM_OFFSET_BYTES, new Cancellation(), NOBODY);
        }
    }

    static Path file(Path storePath, CommittedImage image) {
        return storePath.resolve(image.id().relativePath());
    }
}
