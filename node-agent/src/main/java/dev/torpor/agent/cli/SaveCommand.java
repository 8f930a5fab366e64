package dev.torpor.agent.cli;

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
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.image.PartialImage;
import dev.torpor.agent.image.PartialIntent;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpLimits;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.time.Instant;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.UUID;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code torpor-agent save}. */
@Command(
        name = "save",
        mixinStandardHelpOptions = true,
        description = {
            "Saves a VM: pauses it, writes its memory to a new image, and makes that durable.",
            "If anything fails, the VM goes on as before and nothing is left in the store."
        })
final class SaveCommand implements Callable<Integer> {
    @Mixin
    @SuppressWarnings("NullAway.Init")
    private VmOptions options;

    @Option(names = "--channels", paramLabel = "N", description = "Parallel channels, 1 to 255 (default: chosen).")
    private @Nullable Integer channels;

    @Option(
            names = "--direct-io",
            paramLabel = "MODE",
            defaultValue = "auto",
            description = "Bypass the page cache: auto, required or off (default: auto).")
    private DirectIO directIO = DirectIO.AUTO;

    @Option(
            names = "--bandwidth",
            paramLabel = "BYTES",
            defaultValue = "0",
            description = "At most so many bytes a second; 0 is unlimited (default).")
    private long bandwidth;

    /** What becomes of the VM. */
    static final class Afterwards {
        @Option(names = "--resume", description = "Let the VM carry on; the image is a checkpoint.")
        boolean resume;

        @Option(names = "--leave-paused", description = "Leave the VM paused, to be ended (default).")
        boolean leavePaused;
    }

    @ArgGroup
    private Afterwards afterwards = new Afterwards();

    @Override
    public Integer call() throws TorporException {
        PartialIntent intent;
        try (ImageStore store = ImageStore.open(options.store);
                QmpClient qmp = QmpClient.connect(options.socket, QmpLimits.DEFAULT)) {
            VmFacts vm = QemuProbe.probe(qmp);
            SavePlan plan = QemuDirectEngine.plan(
                    vm,
                    new SaveOptions(
                            channels == null ? OptionalInt.empty() : OptionalInt.of(channels), directIO, bandwidth),
                    new QemuDirectEngine.StoreFacts(store.freeBytes(), store.directIO()));
            intent = new PartialIntent(
                    afterwards.resume ? ImageMode.CHECKPOINT : ImageMode.SAVE,
                    0,
                    vm.runState().running(),
                    Optional.of(QemuIdentity.of(qmp)),
                    Instant.now());
            try (Interrupt interrupt = new Interrupt()) {
                PartialImage partial =
                        store.create(options.image(UUID.randomUUID().toString()), intent);
                save(qmp, vm, plan, partial, interrupt);
            }
        }
        return ExitCode.DONE;
    }

    private void save(QmpClient qmp, VmFacts vm, SavePlan plan, PartialImage partial, Interrupt interrupt)
            throws TorporException {
        long paused = System.nanoTime();
        CommittedImage image;
        try {
            Guest.pause(qmp);
            QemuDirectEngine.requireMigratable(QemuProbe.blockedReasons(qmp));
            SaveReport report = write(qmp, plan, partial, interrupt);
            image = partial.commit(header(vm, plan, partial), report.normalPages());
        } catch (TorporException e) {
            undo(qmp, partial, e);
            throw e;
        }
        boolean resume = afterwards.resume && partial.intent().wasRunning();
        if (resume) {
            Guest.resume(qmp);
        }
        double seconds = (System.nanoTime() - paused) / 1e9;
        System.err.println("torpor-agent: saved " + Amount.bytes(plan.memoryBytes()) + " in " + Amount.seconds(seconds)
                + " with " + plan.channels() + " channels, "
                + (plan.directIO() ? "direct I/O" : "through the page cache") + "; "
                + (resume ? "the VM runs on" : "the VM is paused"));
        System.out.println(image.id().uid());
    }

    private static SaveReport write(QmpClient qmp, SavePlan plan, PartialImage partial, Interrupt interrupt)
            throws TorporException {
        try (ImageFiles files = partial.openForQemu(plan.directIO());
                ProgressBar bar = ProgressBar.onStandardError("saving")) {
            return QemuDirectEngine.save(
                    qmp, plan, files.all(), ImageHeader.STREAM_OFFSET_BYTES, interrupt.cancellation(), bar::progress);
        } catch (IOException e) {
            throw new TorporException(FailureReason.StoreFailed, "the image cannot be closed: " + e.getMessage(), e);
        }
    }

    private static ImageHeader header(VmFacts vm, SavePlan plan, PartialImage partial) {
        PartialIntent intent = partial.intent();
        return new ImageHeader(
                partial.id(),
                intent.mode(),
                vm.definition(),
                QemuDirectEngine.NAME,
                plan.channels(),
                plan.directIO(),
                intent.runNumber(),
                intent.wasRunning(),
                intent.startedAt(),
                Instant.now());
    }

    /** The VM first, then the disk: each is tried whatever becomes of the other. */
    private void undo(QmpClient qmp, PartialImage partial, TorporException because) {
        try {
            if (because.reason() == FailureReason.QMPTimeout) {
                qmp.close();
                try (QmpClient again = QmpClient.connect(options.socket, QmpLimits.DEFAULT)) {
                    QemuDirectEngine.settle(again);
                    carryOn(again, partial);
                }
            } else if (because.reason() != FailureReason.QEMUGone) {
                carryOn(qmp, partial);
            }
        } catch (TorporException e) {
            because.addSuppressed(e);
        }
        try {
            partial.abandon();
        } catch (TorporException e) {
            because.addSuppressed(e);
        }
    }

    private static void carryOn(QmpClient qmp, PartialImage partial) throws TorporException {
        if (partial.intent().wasRunning()) {
            Guest.resume(qmp);
        }
    }
}
