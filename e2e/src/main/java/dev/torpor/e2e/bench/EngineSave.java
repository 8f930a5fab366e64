package dev.torpor.e2e.bench;

import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.engine.DirectIO;
import dev.torpor.agent.engine.Guest;
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
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.failure.TorporException;
import java.io.IOException;
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
        Instant began = Instant.now();
        VmFacts facts = QemuProbe.probe(qmp);
        SavePlan plan = QemuDirectEngine.plan(
                facts,
                new SaveOptions(channels, DirectIO.AUTO, 0),
                new QemuDirectEngine.StoreFacts(store.freeBytes(), store.directIO()));
        PartialImage image =
                store.create(id, new PartialIntent(ImageMode.CHECKPOINT, 0, true, Optional.empty(), began));
        Guest.pause(qmp);
        SaveReport report;
        try (ImageFiles files = image.openForQemu(plan.directIO())) {
            report = QemuDirectEngine.save(
                    qmp, plan, files.all(), ImageHeader.STREAM_OFFSET_BYTES, new Cancellation(), (done, total) -> {});
        }
        return image.commit(
                new ImageHeader(
                        id,
                        ImageMode.CHECKPOINT,
                        facts.definition(),
                        QemuDirectEngine.NAME,
                        plan.channels(),
                        plan.directIO(),
                        0,
                        true,
                        began,
                        Instant.now()),
                report.normalPages());
    }
}
