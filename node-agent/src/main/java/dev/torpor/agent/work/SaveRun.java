package dev.torpor.agent.work;

import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.engine.Engines;
import dev.torpor.agent.engine.QemuDirectEngine;
import dev.torpor.agent.engine.SaveOptions;
import dev.torpor.agent.engine.SavePlan;
import dev.torpor.agent.engine.SaveReport;
import dev.torpor.agent.engine.VmFacts;
import dev.torpor.agent.image.Compression;
import dev.torpor.agent.image.ImageFiles;
import dev.torpor.agent.image.ImageHeader;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.image.PartialImage;
import dev.torpor.agent.image.PartialIntent;
import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.agent.image.VmDisks;
import dev.torpor.agent.launch.VmName;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.EnumSet;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One try at saving a VM, from the first look at its QEMU to the committed image. When it throws, an image that is
 * Partial tells that there is something to undo.
 */
final class SaveRun {
    private static final Logger LOG = LoggerFactory.getLogger(SaveRun.class);
    /** Refusals of what was asked for, not of a save. */
    private static final Set<FailureReason> OF_OPTIONS = EnumSet.of(
            FailureReason.CapabilityMissing, FailureReason.ChannelsOutOfRange, FailureReason.DescriptorLimit);

    private final Node node;
    private final SaveOrder order;
    private final Cancellation cancellation;
    private final Pace pace;
    private Optional<Begun> begun = Optional.empty();

    SaveRun(Node node, SaveOrder order, Cancellation cancellation, Pace pace) {
        this.node = node;
        this.order = order;
        this.cancellation = cancellation;
        this.pace = pace;
    }

    /**
     * How a save went. Times are on the clock of {@link System#nanoTime}.
     *
     * @param pausedAtNanos when the guest was paused
     * @param continuedAtNanos when it went on; empty while it has not
     * @param quiesced whether its file systems were frozen before; empty if there was nobody to ask
     */
    record Saved(long pausedAtNanos, OptionalLong continuedAtNanos, Optional<Boolean> quiesced) {
        Saved continuedAt(long nanos) {
            return new Saved(pausedAtNanos, OptionalLong.of(nanos), quiesced);
        }

        Duration paused(long nowNanos) {
            return Duration.ofNanos(continuedAtNanos.orElse(nowNanos) - pausedAtNanos);
        }
    }

    /**
     * Saves. On return the image is committed and the guest is still paused.
     *
     * @return how that went
     */
    Saved run(String podUID) throws TorporException {
        long beganAt = System.nanoTime();
        try (Vm vm = node.vms().connect(podUID)) {
            requireSound(vm);
            VmFacts facts = vm.probe();
            SavePlan plan = plan(facts);
            if (order.probed()) {
                requireTime(vm, plan);
            }
            cancellation.check();
            try (ImageStore.Room _ = node.store().reserve(order.image(), plan.imageBytesMax())) {
                return run(vm, facts, plan, beganAt);
            }
        }
    }

    private Saved run(Vm vm, VmFacts facts, SavePlan plan, long beganAt) throws TorporException {
        Instant startedAt = node.clock().instant();
        order.planned(plan, startedAt);
        Optional<Boolean> freezable =
                order.mode() == ImageMode.CHECKPOINT && facts.runState().running()
                        ? GuestCare.canFreeze(vm)
                        : Optional.empty();
        PartialIntent intent = new PartialIntent(
                order.mode(),
                node.journal().read(vmName()).runs(),
                facts.runState().running() || isToRun(vm.process()),
                Optional.of(vm.process()),
                startedAt,
                freezable.orElse(false));
        node.hook().before(Step.SAVE_RECORD);
        PartialImage partial = node.store().create(order.image(), intent);
        node.hook().after(Step.SAVE_RECORD);
        order.recorded();
        begun = Optional.of(new Begun(partial, intent));
        node.readiness().saving(vm.process().podUID());
        Optional<Boolean> quiesced = freezable.map(can -> can && GuestCare.freeze(vm));
        long pausedAt = System.nanoTime();
        Written written = pausedAndSaved(vm, plan, partial, facts);
        node.metrics()
                .saved(
                        Duration.ofNanos(System.nanoTime() - beganAt),
                        written.report().duration(),
                        written.report().writtenBytes(),
                        compresses(written.plan()));
        return new Saved(pausedAt, OptionalLong.empty(), quiesced);
    }

    /** A guest that was given its memory, and whose agent died before it let it run, is not one that its owner paused. */
    private boolean isToRun(ProcessIdentity process) throws TorporException {
        return node.store().readable(order.image().namespace(), order.image().vm()).stream()
                .anyMatch(record -> record.state().equals(new ImageState.HandedOver(process))
                        && record.intent().wasRunning());
    }

    /** What was written, and how. */
    private record Written(SavePlan plan, SaveReport report) {}

    private Written pausedAndSaved(Vm vm, SavePlan plan, PartialImage partial, VmFacts facts) throws TorporException {
        try (UnderWay.Transfer transfer = node.underWay().transfer()) {
            node.step(Step.SAVE_PAUSE, vm::pause);
            QemuDirectEngine.requireMigratable(vm.blockedReasons());
            order.paused(node.clock().instant());
            Written written = write(vm, plan, partial, transfer);
            order.awaitDisks(cancellation);
            VmDisks disks = new VmDisks(order.claims(), vm.disks(order.claims()));
            cancellation.check();
            requireSound(vm); // it may have been found out meanwhile
            node.step(Step.SAVE_COMMIT, () -> {
                var _ = written.report().commit(partial, header(facts, written.plan(), partial.intent(), disks));
            });
            return written;
        }
    }

    private SavePlan plan(VmFacts facts) throws TorporException {
        QemuDirectEngine.StoreFacts store = new QemuDirectEngine.StoreFacts(
                node.store().freeBytes(), node.store().directIO());
        try {
            return Engines.plan(facts, order.options(), store);
        } catch (TorporException e) {
            Optional<SaveOptions> other = order.otherwise();
            if (!OF_OPTIONS.contains(e.reason()) || other.isEmpty()) {
                throw e;
            }
            LOG.warn("image {}: saved otherwise than its class says: {}", order.image(), e.getMessage());
            return Engines.plan(facts, other.get(), store);
        }
    }

    private static boolean compresses(SavePlan plan) {
        return plan.compression().method() != Compression.Method.NONE;
    }

    /** What was begun before the guest was paused. */
    private record Begun(PartialImage image, PartialIntent intent) {}

    /**
     * After a run that threw: returns how the guest was before it was paused, if it may go on without a look at the record, as
     * that cannot say that the image is complete.
     */
    Optional<PartialIntent> pausedInVain() {
        return begun.filter(it -> !it.image().mayBeComplete()).map(Begun::intent);
    }

    /** Returns how the guest was before it was paused or was about to be; empty if nothing was begun. */
    Optional<PartialIntent> begun() {
        return begun.map(Begun::intent);
    }

    private static void requireTime(Vm vm, SavePlan plan) throws TorporException {
        Optional<PauseBudget> budget = vm.pauseBudget();
        if (budget.isPresent()) {
            long bytes = Math.min(plan.memoryBytes(), vm.residentBytes().orElse(plan.memoryBytes()));
            budget.get()
                    .require(
                            bytes,
                            plan.bandwidthBytesPerSecondMax(),
                            plan.compression().method());
        }
    }

    private void requireSound(Vm vm) throws TorporException {
        Optional<String> damage = node.journal().read(vmName()).damageOf(vm.process());
        if (damage.isPresent()) {
            throw new TorporException(
                    FailureReason.ImageDamaged,
                    "the VM was resumed from a damaged image and stopped, and is not saved: " + damage.get());
        }
    }

    private VmName vmName() {
        return new VmName(order.image().namespace(), order.image().vm());
    }

    private Written write(Vm vm, SavePlan plan, PartialImage partial, UnderWay.Transfer transfer)
            throws TorporException {
        node.hook().before(Step.SAVE_WRITE);
        Written written;
        try {
            written = new Written(plan, writeOnce(vm, plan, partial, transfer));
        } catch (TorporException e) {
            // A build may lack a method that its version has; QEMU says so when it is set, and has begun nothing then.
            // One
            // whose settings could not be put back, which is said beside that, is not asked again.
            if (e.reason() != FailureReason.CapabilityMissing
                    || e.getSuppressed().length > 1
                    || !compresses(plan)
                    || order.otherwise().isEmpty()) {
                throw e;
            }
            LOG.warn(
                    "image {}: saved without compression, other than its class says: {}",
                    order.image(),
                    e.getMessage());
            SavePlan plain = plan.uncompressed();
            written = new Written(plain, writeOnce(vm, plain, partial, transfer));
        }
        node.hook().after(Step.SAVE_WRITE);
        return written;
    }

    private SaveReport writeOnce(Vm vm, SavePlan plan, PartialImage partial, UnderWay.Transfer transfer)
            throws TorporException {
        try (ImageFiles files = partial.openForQemu(plan.directIO());
                ProgressPublisher progress = new ProgressPublisher(node.timer(), order::progress, () -> cancellation
                        .why()
                        .ifPresent(why -> givingUp(vm, why, transfer)))) {
            return vm.save(plan, files, cancellation, (done, total) -> {
                progress.progress(done, total);
                pace.progress(done, total);
            });
        } catch (IOException e) {
            throw new TorporException(FailureReason.StoreFailed, "the image's file cannot be closed", e);
        }
    }

    private void givingUp(Vm vm, String why, UnderWay.Transfer transfer) {
        // The turn is the object's, or that of the pod if it is saved without one.
        if (node.saves().lingers(order.image().uid())
                || node.saves().lingers(vm.process().podUID())) {
            transfer.lingers();
            LOG.warn(
                    "image {}: {}; its QEMU, or the disk, does not come to an end, and other VMs are saved meanwhile",
                    order.image(),
                    why);
        }
        order.givingUp(why); // last, as the API server may be away
    }

    private ImageHeader header(VmFacts facts, SavePlan plan, PartialIntent intent, VmDisks disks) {
        return new ImageHeader(
                order.image(),
                order.mode(),
                facts.definition(),
                plan.engine().word(),
                plan.channels(),
                plan.directIO(),
                intent.runNumber(),
                intent.wasRunning(),
                intent.startedAt(),
                node.clock().instant(),
                disks);
    }
}
