package dev.torpor.agent.work;

import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.engine.LoadReport;
import dev.torpor.agent.engine.ProgressListener;
import dev.torpor.agent.engine.RestoreChecks;
import dev.torpor.agent.engine.VmFacts;
import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.ImageFiles;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.launch.LazyStart;
import dev.torpor.agent.launch.VmRecord;
import dev.torpor.api.status.StatusOwner;
import dev.torpor.api.status.WriteResult;
import dev.torpor.api.v1alpha1.RestoreStrategy;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One try at feeding an image to a QEMU that was started for it, up to the durable hand-over. A QEMU that is not fresh,
 * because an agent died while it fed it, is ended: its container starts another.
 */
final class LoadRun {
    private static final Logger LOG = LoggerFactory.getLogger(LoadRun.class);

    private final Node node;
    private final RestoreView restore;

    LoadRun(Node node, RestoreView restore) {
        this.node = node;
        this.restore = restore;
    }

    /** How it went. */
    sealed interface Outcome {
        /** The image is the process's; its guest is still paused. */
        record HandedOver(double seconds, long memoryBytes, boolean lazy) implements Outcome {}

        /** The process was spent and was told to end. */
        record Spent() implements Outcome {}
    }

    /**
     * Feeds.
     *
     * @throws TorporException if a reason is final and a QEMU was reached, that QEMU was told to end
     */
    Outcome run(String podUID) throws TorporException {
        CommittedImage image = node.store().open(restore.image());
        image.requireRestorable();
        try (Vm vm = node.vms().connect(podUID)) {
            try {
                return feed(vm, image);
            } catch (TorporException e) {
                if (Trouble.of(e).isFinal() && e.reason() != FailureReason.QEMUGone) {
                    end(vm, e);
                }
                throw e;
            }
        }
    }

    private Outcome feed(Vm vm, CommittedImage image) throws TorporException {
        if (isSpent(vm)) {
            LOG.info("VMRestore {}: its QEMU was fed by an agent that is gone: starting another", restore.name());
            var _ = node.journal().update(restore.vm(), r -> r.spent(restore.uid()));
            vm.quit();
            return new Outcome.Spent();
        }
        VmFacts target = vm.probe();
        RestoreChecks.compare(image.header().vm(), target);
        // What it has mapped is asked of QEMU itself: what it was told may have been another agent's word.
        List<String> mapped = vm.mapped(image.layout(), LazyStart.pathInPod(image.id()));
        long began = System.nanoTime();
        if (mapped.isEmpty()) {
            loadAll(vm, target, image);
        } else {
            try {
                loadTheRest(vm, target, image, mapped);
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
        node.step(Step.RESTORE_HAND_OVER, () -> node.store()
                .transition(image.id(), new ImageState.HandedOver(vm.process())));
        node.step(Step.RESTORE_JOURNAL, () -> {
            VmRecord.HandOver to = new VmRecord.HandOver(restore.uid(), image.id(), vm.process());
            var _ = node.journal().update(restore.vm(), r -> r.handedOver(to));
        });
        Duration whole = Duration.ofNanos(System.nanoTime() - began);
        node.metrics().loaded(whole);
        return new Outcome.HandedOver(whole.toNanos() / 1e9, image.header().vm().memoryBytes(), !mapped.isEmpty());
    }

    private void loadAll(Vm vm, VmFacts target, CommittedImage image) throws TorporException {
        Optional<String> why =
                node.journal().read(restore.vm()).resumeFor(restore.uid()).flatMap(VmRecord.Resume::why);
        VMRestore begun = publish(RestoreStrategy.Eager, why);
        boolean directIO =
                target.parameters().contains("direct-io") && node.store().directIO();
        try (ImageFiles files = image.openForQemu(directIO);
                ProgressPublisher progress = new ProgressPublisher(node.timer(), p -> node.status()
                        .news(StatusOwner.RESTORE_AGENT, begun, RestoreStatuses.progress(begun, p)))) {
            LoadReport report = load(vm, target, files, progress);
            node.metrics().read(report.duration(), image.allocatedBytes());
        } catch (IOException e) {
            throw closing(e);
        }
    }

    /** Loads what QEMU has not mapped: small blocks and device state. */
    private void loadTheRest(Vm vm, VmFacts target, CommittedImage image, List<String> mapped) throws TorporException {
        var _ = publish(RestoreStrategy.Lazy, Optional.empty());
        try (ImageFiles shadow = image.openShadowForQemu(Set.copyOf(mapped));
                ImageFiles files = image.openForQemu(false)) {
            var _ = load(vm, target, shadow, (_, _) -> {});
            vm.compare(image.layout(), mapped, files);
        } catch (IOException e) {
            throw closing(e);
        }
    }

    private LoadReport load(Vm vm, VmFacts target, ImageFiles files, ProgressListener listener) throws TorporException {
        node.hook().before(Step.RESTORE_LOAD);
        LoadReport report = vm.load(target, files, new Cancellation(), listener);
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

    // One try for each process: what was fed before, to whatever end, is not fed again.
    private static boolean isSpent(Vm vm) throws TorporException {
        return !vm.runState().incoming() || vm.wasFed();
    }

    private VMRestore publish(RestoreStrategy strategy, Optional<String> why) {
        VMRestore seen = restore.object();
        return switch (node.status()
                .transition(
                        StatusOwner.RESTORE_AGENT,
                        seen,
                        RestoreStatuses.loading(
                                seen, strategy, why, node.clock().instant()))) {
            case WriteResult.Written<VMRestore>(VMRestore object) -> object;
            case WriteResult.Unchanged<VMRestore> _ -> seen;
            case WriteResult.Stale<VMRestore> _, WriteResult.Gone<VMRestore> _ -> throw new ChangedMeanwhileException();
        };
    }

    private static void end(Vm vm, TorporException because) {
        try {
            vm.quit();
        } catch (TorporException e) {
            because.addSuppressed(e);
        }
    }
}
