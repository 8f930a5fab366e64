package dev.torpor.agent.work;

import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.engine.DirectIO;
import dev.torpor.agent.engine.QemuDirectEngine;
import dev.torpor.agent.engine.SaveOptions;
import dev.torpor.agent.engine.SavePlan;
import dev.torpor.agent.engine.SaveReport;
import dev.torpor.agent.engine.VmFacts;
import dev.torpor.agent.image.ImageFiles;
import dev.torpor.agent.image.ImageHeader;
import dev.torpor.agent.image.PartialImage;
import dev.torpor.agent.image.PartialIntent;
import dev.torpor.api.status.StatusOwner;
import dev.torpor.api.status.WriteResult;
import dev.torpor.api.v1alpha1.ParallelSpec;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotClassSpec;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import java.util.OptionalInt;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One try at saving a VM, from the first look at its QEMU to the committed image. When it throws, an image that is
 * Partial tells that there is something to undo.
 */
final class SaveRun {
    private static final Logger LOG = LoggerFactory.getLogger(SaveRun.class);

    // Of x86; on others a unit of the same kind, good enough for a rate.
    private static final long PAGE_BYTES = 4096;

    private final Node node;
    private final SnapshotView snapshot;
    private final Cancellation cancellation;
    private final Pace pace;

    SaveRun(Node node, SnapshotView snapshot, Cancellation cancellation, Pace pace) {
        this.node = node;
        this.snapshot = snapshot;
        this.cancellation = cancellation;
        this.pace = pace;
    }

    /**
     * Saves. On return the image is committed and the guest is still paused.
     *
     * @return when the guest was paused, on the clock of {@link System#nanoTime}
     */
    long run(String podUID) throws TorporException {
        long beganAt = System.nanoTime();
        try (Vm vm = node.vms().connect(podUID)) {
            VmFacts facts = vm.probe();
            SavePlan plan = QemuDirectEngine.plan(
                    facts,
                    options(),
                    new QemuDirectEngine.StoreFacts(
                            node.store().freeBytes(), node.store().directIO()));
            cancellation.check();
            Instant startedAt = node.clock().instant();
            VMSnapshot begun = publish(plan, startedAt);
            PartialIntent intent = new PartialIntent(
                    snapshot.mode(),
                    node.journal().read(snapshot.vm()).runs(),
                    facts.runState().running(),
                    Optional.of(vm.process()),
                    startedAt);
            node.hook().before(Step.SAVE_RECORD);
            PartialImage partial = node.store().create(snapshot.image(), intent);
            node.hook().after(Step.SAVE_RECORD);
            long pausedAt = System.nanoTime();
            node.step(Step.SAVE_PAUSE, vm::pause);
            QemuDirectEngine.requireMigratable(vm.blockedReasons());
            SaveReport report = write(vm, plan, partial, begun);
            cancellation.check();
            node.step(Step.SAVE_COMMIT, () -> {
                var _ = partial.commit(header(facts, plan, intent), report.normalPages());
            });
            node.metrics()
                    .saved(
                            Duration.ofNanos(System.nanoTime() - beganAt),
                            report.duration(),
                            report.normalPages() * PAGE_BYTES);
            return pausedAt;
        }
    }

    private SaveReport write(Vm vm, SavePlan plan, PartialImage partial, VMSnapshot begun) throws TorporException {
        try (ImageFiles files = partial.openForQemu(plan.directIO());
                ProgressPublisher progress = new ProgressPublisher(node.timer(), p -> node.status()
                        .news(StatusOwner.SNAPSHOT_AGENT, begun, SnapshotStatuses.progress(begun, p)))) {
            node.hook().before(Step.SAVE_WRITE);
            SaveReport report = vm.save(plan, files, cancellation, (done, total) -> {
                progress.progress(done, total);
                pace.progress(done, total);
            });
            node.hook().after(Step.SAVE_WRITE);
            return report;
        } catch (IOException e) {
            throw new TorporException(FailureReason.StoreFailed, "the image's file cannot be closed", e);
        }
    }

    private VMSnapshot publish(SavePlan plan, Instant startedAt) throws TorporException {
        VMSnapshot seen = snapshot.object();
        return switch (node.status()
                .transition(
                        StatusOwner.SNAPSHOT_AGENT, seen, SnapshotStatuses.saving(seen, plan, startedAt, startedAt))) {
            case WriteResult.Written<VMSnapshot>(VMSnapshot object) -> object;
            case WriteResult.Unchanged<VMSnapshot> _ -> seen;
            case WriteResult.Stale<VMSnapshot>(String detail) -> {
                LOG.debug("{}: {}", snapshot.name(), detail);
                throw new ChangedMeanwhileException();
            }
            case WriteResult.Gone<VMSnapshot> _ -> throw new ChangedMeanwhileException();
        };
    }

    private ImageHeader header(VmFacts facts, SavePlan plan, PartialIntent intent) {
        return new ImageHeader(
                snapshot.image(),
                snapshot.mode(),
                facts.definition(),
                QemuDirectEngine.NAME,
                plan.channels(),
                plan.directIO(),
                intent.runNumber(),
                intent.wasRunning(),
                intent.startedAt(),
                node.clock().instant());
    }

    private SaveOptions options() {
        var spec = snapshot.object().getSpec();
        Optional<VMSnapshotClassSpec> defaults = Optional.ofNullable(
                        snapshot.object().getStatus().getClassName())
                .flatMap(node.cluster()::snapshotClass);
        Optional<ParallelSpec> own = Optional.ofNullable(spec.parallel());
        Optional<ParallelSpec> general = defaults.map(VMSnapshotClassSpec::parallel);
        Optional<Integer> channels = own.map(ParallelSpec::channels).or(() -> general.map(ParallelSpec::channels));
        Optional<Boolean> directIO = own.map(ParallelSpec::directIO).or(() -> general.map(ParallelSpec::directIO));
        return new SaveOptions(
                channels.map(OptionalInt::of).orElseGet(OptionalInt::empty),
                directIO.map(wanted -> wanted ? DirectIO.REQUIRED : DirectIO.OFF)
                        .orElse(DirectIO.AUTO),
                defaults.map(VMSnapshotClassSpec::bandwidthBytesPerSecond).orElse(0L));
    }
}
