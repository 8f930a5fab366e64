package dev.torpor.e2e.bench;

import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.engine.DirectIO;
import dev.torpor.agent.engine.Engine;
import dev.torpor.agent.engine.Engines;
import dev.torpor.agent.engine.Guest;
import dev.torpor.agent.engine.MigrationFolder;
import dev.torpor.agent.engine.QemuDirectEngine;
import dev.torpor.agent.engine.QemuProbe;
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
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Optional;
import java.util.OptionalInt;

/** A save with all that an agent does for it, from the first question to QEMU to the committed image. */
final class EngineSave {
    private EngineSave() {}

    /**
     * Saves a guest that has run, and leaves it paused.
     *
     * @param channels empty: the engine chooses
     */
    static CommittedImage save(QmpClient qmp, ImageStore store, ImageId id, OptionalInt channels)
            throws IOException, TorporException {
        SaveOptions options = new SaveOptions(channels, DirectIO.AUTO, 0).with(Engine.QEMU_DIRECT);
        return save(qmp, store, id, options, new MigrationFolder(() -> Directory.open(Path.of("/nowhere")), ""));
    }

    /**
     * Saves as the options say.
     *
     * @param folder for the sockets of an engine that needs them
     */
    static CommittedImage save(QmpClient qmp, ImageStore store, ImageId id, SaveOptions options, MigrationFolder folder)
            throws IOException, TorporException {
        Instant began = Instant.now();
        VmFacts facts = QemuProbe.probe(qmp);
        SavePlan plan =
                Engines.plan(facts, options, new QemuDirectEngine.StoreFacts(store.freeBytes(), store.directIO()));
        PartialImage image =
                store.create(id, new PartialIntent(ImageMode.CHECKPOINT, 0, true, Optional.empty(), began));
        Guest.pause(qmp);
        SaveReport report;
        try (ImageFiles files = image.openForQemu(plan.directIO())) {
            report = Engines.save(qmp, plan, files, folder, new Cancellation(), (done, total) -> {});
        }
        return report.commit(
                image,
                new ImageHeader(
                        id,
                        ImageMode.CHECKPOINT,
                        facts.definition(),
                        plan.engine().word(),
                        plan.channels(),
                        plan.directIO(),
                        0,
                        true,
                        began,
                        Instant.now()));
    }
}
