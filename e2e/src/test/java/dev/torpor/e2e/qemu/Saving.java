package dev.torpor.e2e.qemu;

import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.engine.DirectIO;
import dev.torpor.agent.engine.Engine;
import dev.torpor.agent.engine.Engines;
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
        plan = Engines.plan(facts, options, space);
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
        return save(vm, store, SaveOptions.DEFAULT);
    }

    /** Saves with an engine, and all else chosen. */
    static CommittedImage save(Vm vm, ImageStore store, Engine engine) throws IOException, TorporException {
        return save(vm, store, SaveOptions.DEFAULT.with(engine));
    }

    static CommittedImage save(Vm vm, ImageStore store, SaveOptions options) throws IOException, TorporException {
        Saving saving = begin(vm, store, options);
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
            return Engines.save(vm.qmp(), plan, files, vm.folder(), cancellation, listener);
        }
    }

    CommittedImage commit(SaveReport report) throws TorporException {
        return report.commit(
                partial,
                new ImageHeader(
                        id(),
                        ImageMode.CHECKPOINT,
                        facts.definition(),
                        plan.engine().word(),
                        plan.channels(),
                        plan.directIO(),
                        0,
                        wasRunning,
                        Instant.now(),
                        Instant.now()));
    }

    void abandon() throws TorporException {
        partial.abandon();
    }

    /** Checks and loads, and leaves the guest as it was saved: paused. */
    static LoadReport load(Vm target, CommittedImage image, boolean directIO) throws IOException, TorporException {
        RestoreChecks.compare(image.header(), image.layout(), QemuProbe.probe(target.qmp()));
        return loadUnchecked(target, image, directIO);
    }

    /** Loads whatever the target is. */
    static LoadReport loadUnchecked(Vm target, CommittedImage image, boolean directIO)
            throws IOException, TorporException {
        return loadUnchecked(target, image, directIO, new Cancellation(), NOBODY);
    }

    static LoadReport loadUnchecked(
            Vm target, CommittedImage image, boolean directIO, Cancellation cancellation, ProgressListener listener)
            throws IOException, TorporException {
        VmFacts facts = QemuProbe.probe(target.qmp());
        try (ImageFiles files = image.openForQemu(directIO)) {
            return Engines.load(target.qmp(), facts, image, files, target.folder(), cancellation, listener);
        }
    }

    static Path file(Path storePath, CommittedImage image) {
        return storePath.resolve(image.id().relativePath());
    }
}
