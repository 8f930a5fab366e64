package dev.torpor.agent.cli;

import dev.torpor.agent.engine.Engines;
import dev.torpor.agent.engine.Guest;
import dev.torpor.agent.engine.LoadReport;
import dev.torpor.agent.engine.QemuProbe;
import dev.torpor.agent.engine.RestoreChecks;
import dev.torpor.agent.engine.VmFacts;
import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.ImageFiles;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpLimits;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code torpor-agent restore}. */
@Command(
        name = "restore",
        mixinStandardHelpOptions = true,
        description = {
            "Brings a VM back: loads an image into a QEMU that was started with the same arguments and -incoming defer.",
            "An image of a save is used up by that; one of a checkpoint stays. If loading fails, the image is safe and "
                    + "that QEMU is spent."
        })
final class RestoreCommand implements Callable<Integer> {
    @Mixin
    @SuppressWarnings("NullAway.Init")
    private VmOptions options;

    @Option(names = "--image", required = true, paramLabel = "UID", description = "The image, as save printed it.")
    @SuppressWarnings("NullAway.Init")
    private String uid;

    @Option(names = "--paused", description = "Leave the VM paused; the image stays, marked as handed over.")
    private boolean paused;

    @Override
    public Integer call() throws TorporException {
        try (ImageStore store = ImageStore.open(options.store)) {
            CommittedImage image = store.open(options.image(uid));
            image.requireRestorable();
            try (QmpClient qmp = QmpClient.connect(options.socket, QmpLimits.DEFAULT);
                    Interrupt interrupt = new Interrupt()) {
                VmFacts target = QemuProbe.probe(qmp);
                RestoreChecks.compare(image.header(), image.layout(), target);
                LoadReport report = load(store, qmp, target, image, interrupt);
                boolean runs = handOver(store, qmp, image);
                System.err.println("torpor-agent: loaded in "
                        + Amount.seconds(report.duration().toMillis() / 1e3) + " with " + report.channels()
                        + " channels, " + (report.directIO() ? "direct I/O" : "through the page cache") + "; the VM "
                        + (runs ? "runs" : "is paused"));
            }
        }
        return ExitCode.DONE;
    }

    private LoadReport load(ImageStore store, QmpClient qmp, VmFacts target, CommittedImage image, Interrupt interrupt)
            throws TorporException {
        boolean directIO = store.directIO() && Engines.readsDirectly(image.layout(), target);
        try (ImageFiles files = image.openForQemu(directIO);
                ProgressBar bar = ProgressBar.onStandardError("loading")) {
            return Engines.load(qmp, target, image, files, options.folder(), interrupt.cancellation(), bar::progress);
        } catch (IOException e) {
            throw new TorporException(FailureReason.StoreFailed, "the image cannot be closed: " + e.getMessage(), e);
        }
    }

    /** Records who has the image before the guest runs, so that it never runs twice; returns whether it runs. */
    private boolean handOver(ImageStore store, QmpClient qmp, CommittedImage image) throws TorporException {
        boolean usedUp = image.header().mode() != ImageMode.CHECKPOINT;
        if (usedUp) {
            store.transition(image.id(), new ImageState.HandedOver(QemuIdentity.of(qmp)));
        }
        if (paused || !image.header().wasRunning()) {
            return false;
        }
        Guest.resume(qmp);
        if (usedUp) {
            store.transition(image.id(), new ImageState.Consumed());
        }
        Guest.announce(qmp);
        return true;
    }
}
