package dev.torpor.agent.work;

import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.engine.Disks;
import dev.torpor.agent.engine.Engines;
import dev.torpor.agent.engine.LazyParts;
import dev.torpor.agent.engine.LoadReport;
import dev.torpor.agent.engine.ProgressListener;
import dev.torpor.agent.engine.RestoreChecks;
import dev.torpor.agent.engine.ResumeTarget;
import dev.torpor.agent.engine.VmFacts;
import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.ImageFiles;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.VmDisks;
import dev.torpor.agent.launch.LazyStart;
import dev.torpor.agent.launch.VmRecord;
import dev.torpor.agent.metrics.AgentMetrics.Scan;
import dev.torpor.agent.qmp.SocketWait;
import dev.torpor.api.status.StatusOwner;
import dev.torpor.api.status.WriteResult;
import dev.torpor.api.v1alpha1.DisksPolicy;
import dev.torpor.api.v1alpha1.RestoreStrategy;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.Future;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One try at feeding an image to a QEMU that was started for it, up to the durable hand-over and the guest's running. A QEMU that is not fresh,
 * because an agent died while it fed it, is ended: its container starts another.
 */
final class LoadRun {
    private static final Logger LOG = LoggerFactory.getLogger(LoadRun.class);

    // A QEMU that was told to start is there in a tenth of that; one that is not is looked for again and again.
    private static final Duration START_PATIENCE = Duration.ofSeconds(3);

    // It waits for the disk, in a native call.
    private static final Executor OWN_THREAD =
            task -> Thread.ofPlatform().name("hand-over").start(task);

    /** Slower than any disk that VMs are kept on: below it a load counts as one that hangs. */
    private static final long SLOWEST_BYTES_PER_SECOND = 32L << 20;

    private final Node node;
    private final RestoreView restore;
    private final Cancellation cancellation = new Cancellation();
    private VMRestore seen;

    LoadRun(Node node, RestoreView restore) {
        this.node = node;
        this.restore = restore;
        this.seen = restore.object();
    }

    /** How it went. */
    sealed interface Outcome {
        /** The image is the process's; its guest runs, unless it is not to, or something was in the way. */
        record HandedOver(double seconds, long memoryBytes, boolean lazy) implements Outcome {}

        /** The process was spent and was told to end. */
        record Spent() implements Outcome {}
    }

    /**
     * Feeds, until the restore's deadline: a QEMU that hangs would have this worker for good. What has begun by then has
     * the time that its bytes take at {@link #SLOWEST_BYTES_PER_SECOND}: that the disk is slow is no reason to begin anew.
     *
     * @throws TorporException if a reason is final and a QEMU was reached, that QEMU was told to end
     */
    Outcome run(String podUID) throws TorporException {
        CommittedImage image = node.store().open(restore.image());
        Instant least = node.clock().instant().plusSeconds(image.sizeBytes() / SLOWEST_BYTES_PER_SECOND);
        Future<?> end = node.endAt(
                least.isAfter(restore.deadline()) ? least : restore.deadline(),
                cancellation,
                Trouble.deadline(restore.deadlineSeconds()).message());
        try {
            return run(podUID, image);
        } finally {
            end.cancel(false);
        }
    }

    private Outcome run(String podUID, CommittedImage image) throws TorporException {
        image.requireRestorable();
        VmRecord journal = node.journal().read(restore.vm());
        Duration patience = patience(journal);
        boolean lazy =
                journal.resumeFor(restore.uid()).filter(VmRecord.Resume::lazy).isPresent();
        if (!lazy || patience.isZero()) {
            return connect(podUID, image, patience, Optional.empty());
        }
        // While QEMU starts: what does not need it.
        publish(RestoreStrategy.Lazy, Optional.empty());
        try (LazyParts parts = LazyParts.of(image, LazyParts.expected(image.layout()))) {
            return connect(podUID, image, patience, Optional.of(parts));
        } catch (IOException e) {
            throw closing(e);
        }
    }

    /** How long a QEMU is waited for: only once its launcher was answered, as before that this very worker is to do so. */
    private Duration patience(VmRecord journal) {
        Instant until = journal.lastRun()
                .filter(run -> run.restoreUID().equals(Optional.of(restore.uid())))
                .map(run -> run.time().plus(START_PATIENCE))
                .orElse(Instant.EPOCH);
        Instant now = node.clock().instant();
        if (!now.isBefore(until)) {
            return Duration.ZERO;
        }
        Duration left = Duration.between(now, until);
        // A clock that was put back does not make it more.
        return left.compareTo(START_PATIENCE) < 0 ? left : START_PATIENCE;
    }

    private Outcome connect(String podUID, CommittedImage image, Duration patience, Optional<LazyParts> parts)
            throws TorporException {
        try (Vm vm = SocketWait.connect(patience, () -> node.vms().connect(podUID))) {
            CompletableFuture<Void> ahead = CompletableFuture.runAsync(() -> prepare(vm, image), OWN_THREAD);
            try {
                return feed(vm, image, parts, ahead);
            } catch (TorporException e) {
                if (Trouble.of(e).isFinal() && e.reason() != FailureReason.QEMUGone) {
                    end(vm, e);
                }
                throw e;
            } finally {
                ahead.join();
            }
        }
    }

    private Outcome feed(Vm vm, CommittedImage image, Optional<LazyParts> parts, CompletableFuture<Void> ahead)
            throws TorporException {
        // What it has mapped is asked of QEMU itself: what it was told may have been another agent's word.
        ResumeTarget found = vm.target(image.layout(), LazyStart.pathInPod(image.id()));
        VmFacts target = found.facts();
        // One try for each process: what was fed before, to whatever end, is not fed again.
        if (!target.isFresh()) {
            LOG.info("VMRestore {}: its QEMU was fed by an agent that is gone: starting another", restore.name());
            var _ = node.journal().update(restore.vm(), r -> r.spent(restore.uid()));
            vm.quit();
            return new Outcome.Spent();
        }
        RestoreChecks.compare(image.header(), image.layout(), target);
        requireSameDisks(vm, image);
        try (UnderWay.Transfer _ = node.underWay().transfer()) {
            return loaded(vm, image, parts, ahead, found);
        }
    }

    private Outcome loaded(
            Vm vm, CommittedImage image, Optional<LazyParts> parts, CompletableFuture<Void> ahead, ResumeTarget found)
            throws TorporException {
        VmFacts target = found.facts();
        Set<String> mapped = found.mapped();
        long began = System.nanoTime();
        if (mapped.isEmpty()) {
            loadAll(vm, target, image);
        } else {
            try {
                loadTheRest(vm, found, image, parts);
            } catch (TorporException e) {
                if (!fallsBack(e)) {
                    throw e;
                }
                String why = Trouble.of(e).message();
                LOG.warn("VMRestore {}: its memory cannot be mapped after all: {}", restore.name(), why, e);
                var _ = node.journal().update(restore.vm(), r -> r.lazyFailed(restore.uid(), why));
                end(vm, e);
                return new Outcome.Spent();
            }
        }
        // Before the image is spent on it: a QEMU that cannot have its disks is started anew.
        vm.activateDisks();
        ahead.join();
        // The image first: whose it is must be known before it is known that this VM has it. Both are on the disk
        // before the guest runs; RestoreDecision holds for either order in which a file system brings them there.
        node.step(Step.RESTORE_HAND_OVER, () -> {
            var _ = node.store().transitionUnflushed(image.id(), new ImageState.HandedOver(vm.process()));
        });
        node.step(Step.RESTORE_JOURNAL, () -> {
            var _ = node.journal().updateUnflushed(restore.vm(), r -> r.handedOver(handOver(vm, image)));
            node.store().flush(image.id());
            node.journal().flush(restore.vm());
        });
        Duration whole = Duration.ofNanos(System.nanoTime() - began);
        resume(vm, image);
        node.metrics().loaded(whole);
        return new Outcome.HandedOver(whole.toNanos() / 1e9, image.header().vm().memoryBytes(), !mapped.isEmpty());
    }

    private void requireSameDisks(Vm vm, CommittedImage image) throws TorporException {
        VmDisks saved = image.header().disks();
        if (restore.disks() == DisksPolicy.Unchanged && !saved.files().isEmpty()) {
            Disks.compare(saved.files(), vm.disks(saved.claims()));
        }
    }

    private VmRecord.HandOver handOver(Vm vm, CommittedImage image) {
        return new VmRecord.HandOver(restore.uid(), image.id(), vm.process());
    }

    /** Writes ahead, while QEMU is at work, what will be recorded at the hand-over: the guest waits less for the disk. */
    private void prepare(Vm vm, CommittedImage image) {
        try {
            node.store().prepareTransition(image.id(), new ImageState.HandedOver(vm.process()));
            node.journal().prepare(restore.vm(), r -> r.handedOver(handOver(vm, image)));
        } catch (TorporException e) {
            LOG.debug("VMRestore {}: its hand-over is recorded without preparation", restore.name(), e);
        }
    }

    /** Lets the guest run, if it is to; whatever goes wrong, the image is this process's and the next look finishes. */
    private void resume(Vm vm, CommittedImage image) {
        try {
            if (restore.runs(image.header().wasRunning())) {
                node.step(Step.RESTORE_CONTINUE, () -> {
                    vm.resume();
                    GuestCare.announce(vm);
                });
            }
        } catch (TorporException e) {
            LOG.warn("VMRestore {}: its guest is not let run yet: {}", restore.name(), e.getMessage());
        }
    }

    private void loadAll(Vm vm, VmFacts target, CommittedImage image) throws TorporException {
        Optional<String> why =
                node.journal().read(restore.vm()).resumeFor(restore.uid()).flatMap(VmRecord.Resume::why);
        publish(RestoreStrategy.Eager, why);
        VMRestore begun = seen;
        boolean directIO =
                Engines.readsDirectly(image.layout(), target) && node.store().directIO();
        try (ImageFiles files = image.openForQemu(directIO);
                ProgressPublisher progress = new ProgressPublisher(node.timer(), p -> node.status()
                        .news(StatusOwner.RESTORE_AGENT, begun, RestoreStatuses.progress(begun, p)))) {
            LoadReport report = load(vm, target, image, files, progress);
            node.metrics().read(report.duration(), image.allocatedBytes());
        } catch (IOException e) {
            throw closing(e);
        }
    }

    /** Loads what QEMU has not mapped: small blocks and device state. */
    private void loadTheRest(Vm vm, ResumeTarget target, CommittedImage image, Optional<LazyParts> ready)
            throws TorporException {
        if (ready.filter(parts -> parts.mapped().equals(target.mapped())).isPresent()) {
            loadTheRest(vm, target, ready.get());
            return;
        }
        publish(RestoreStrategy.Lazy, Optional.empty());
        try (LazyParts parts = LazyParts.of(image, target.mapped())) {
            loadTheRest(vm, target, parts);
        } catch (IOException e) {
            throw closing(e);
        }
    }

    private void loadTheRest(Vm vm, ResumeTarget target, LazyParts parts) throws TorporException {
        node.step(Step.RESTORE_LOAD, () -> vm.loadShadow(target, parts.shadow(), cancellation));
        vm.compare(target, parts.samples());
    }

    private LoadReport load(Vm vm, VmFacts target, CommittedImage image, ImageFiles files, ProgressListener listener)
            throws TorporException {
        node.hook().before(Step.RESTORE_LOAD);
        LoadReport report;
        try {
            report = vm.load(target, image, files, cancellation, listener);
        } catch (TorporException e) {
            if (PageScans.isDamage(e)) {
                var _ = PageScans.damaged(node.store(), node.metrics(), image.id(), Scan.RESUME, e);
            }
            throw e;
        }
        node.hook().after(Step.RESTORE_LOAD);
        LOG.info(
                "VMRestore {}: loaded in {} ms",
                restore.name(),
                report.duration().toMillis());
        return report;
    }

    private static TorporException closing(IOException e) {
        return new TorporException(FailureReason.StoreFailed, "the image's file cannot be closed", e);
    }

    // All else would be the same with all memory loaded.
    private boolean fallsBack(TorporException e) {
        return restore.strategy() == RestoreStrategy.Auto
                && (e.reason() == FailureReason.LoadFailed || e.reason() == FailureReason.QEMUGone);
    }

    private void publish(RestoreStrategy strategy, Optional<String> why) {
        switch (node.status()
                .transition(
                        StatusOwner.RESTORE_AGENT,
                        seen,
                        RestoreStatuses.loading(
                                seen, strategy, why, node.clock().instant()))) {
            case WriteResult.Written<VMRestore>(VMRestore object) -> seen = object;
            case WriteResult.Unchanged<VMRestore> _ -> {
                // an earlier try said the same
            }
            case WriteResult.Stale<VMRestore> _, WriteResult.Gone<VMRestore> _ -> throw new ChangedMeanwhileException();
        }
    }

    private static void end(Vm vm, TorporException because) {
        try {
            vm.quit();
        } catch (TorporException e) {
            because.addSuppressed(e);
        }
    }
}
