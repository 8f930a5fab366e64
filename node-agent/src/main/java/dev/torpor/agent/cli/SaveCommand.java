package dev.torpor.agent.cli;

import dev.torpor.agent.engine.DirectIO;
import dev.torpor.agent.engine.Engine;
import dev.torpor.agent.engine.Engines;
import dev.torpor.agent.engine.Guest;
import dev.torpor.agent.engine.QemuDirectEngine;
import dev.torpor.agent.engine.QemuProbe;
import dev.torpor.agent.engine.SaveOptions;
import dev.torpor.agent.engine.SavePlan;
import dev.torpor.agent.engine.SaveReport;
import dev.torpor.agent.engine.VmFacts;
import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.Compression;
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
import java.util.Arrays;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.UUID;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code torpor-agent save}. */
@Command(
        name = "save",
        mixinStandardHelpOptions = true,
        description = {
            "Saves a VM: pauses it, writes its memory to a new image, and makes that durable.",
            "If anything fails, the VM goes on as before and nothing is left in the store."
        })
final class SaveCommand implements Callable<Integer> {
    private static final String AUTO = "auto";

    @Spec
    @SuppressWarnings("NullAway.Init")
    private CommandSpec spec;

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

    @Option(
            names = "--engine",
            paramLabel = "ENGINE",
            defaultValue = "auto",
            description =
                    "auto (default), qemu-direct (QEMU writes the image) or multifd-stream (its channels are recorded).")
    private String engine = AUTO;

    @Option(
            names = "--compression",
            paramLabel = "METHOD[:LEVEL]",
            defaultValue = "none",
            description = "Has QEMU compress: none (default), zlib or zstd, with a level of 0 to 9 or 0 to 20.")
    private String compression = "none";

    private Optional<Engine> engine() {
        if (engine.equals(AUTO)) {
            return Optional.empty();
        }
        return Optional.of(Arrays.stream(Engine.values())
                .filter(known -> known.word().equals(engine))
                .findFirst()
                .orElseThrow(() -> new ParameterException(
                        spec.commandLine(), "--engine is auto, qemu-direct or multifd-stream, not '" + engine + "'")));
    }

    private Compression compression() {
        String[] parts = compression.split(":", 2);
        return Arrays.stream(Compression.Method.values())
                .filter(known -> known.word().equals(parts[0]))
                .findFirst()
                .flatMap(method -> level(method, parts))
                .orElseThrow(() -> new ParameterException(
                        spec.commandLine(),
                        "--compression is none, zlib or zstd, the latter two with a level like zstd:3, not '"
                                + compression + "'"));
    }

    private static Optional<Compression> level(Compression.Method method, String... parts) {
        if (parts.length == 1) {
            return Optional.of(new Compression(method, OptionalInt.empty()));
        }
        // As many digits as a level can have.
        boolean isLevel = parts[1].matches("[0-9]{1,2}")
                && method != Compression.Method.NONE
                && Integer.parseInt(parts[1]) <= method.levelMax();
        return isLevel
                ? Optional.of(new Compression(method, OptionalInt.of(Integer.parseInt(parts[1]))))
                : Optional.empty();
    }

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
            SavePlan plan = Engines.plan(
                    vm,
                    new SaveOptions(
                            channels == null ? OptionalInt.empty() : OptionalInt.of(channels),
                            directIO,
                            bandwidth,
                            engine(),
                            compression()),
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
            image = report.commit(partial, header(vm, plan, partial));
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
                + " with " + plan.words() + "; "
                + (resume ? "the VM runs on" : "the VM is paused"));
        System.out.println(image.id().uid());
    }

    private SaveReport write(QmpClient qmp, SavePlan plan, PartialImage partial, Interrupt interrupt)
            throws TorporException {
        try (ImageFiles files = partial.openForQemu(plan.directIO());
                ProgressBar bar = ProgressBar.onStandardError("saving")) {
            return Engines.save(qmp, plan, files, options.folder(), interrupt.cancellation(), bar::progress);
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
                plan.engine().word(),
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
                    settle(() -> QemuDirectEngine.settle(again), () -> carryOn(again, partial));
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

    /** Something that is asked of QEMU. */
    interface Request {
        void ask() throws TorporException;
    }

    /**
     * Settles a QEMU that did not come to an end with a save, and lets its guest go on, which need not wait if that takes long:
     * QEMU is told the rest while it runs.
     */
    static void settle(Request settle, Request carryOn) throws TorporException {
        try {
            settle.ask();
        } catch (TorporException e) {
            if (e.reason() != FailureReason.QMPTimeout) {
                throw e;
            }
            carryOn.ask();
            settle.ask();
            return;
        }
        carryOn.ask();
    }

    private static void carryOn(QmpClient qmp, PartialImage partial) throws TorporException {
        if (partial.intent().wasRunning()) {
            Guest.resume(qmp);
        }
    }
}
