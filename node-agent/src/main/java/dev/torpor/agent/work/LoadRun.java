package dev.torpor.agent.work;

import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.engine.LoadReport;
import dev.torpor.agent.engine.RestoreChecks;
import dev.torpor.agent.engine.VmFacts;
import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.ImageFiles;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.launch.VmRecord;
import dev.torpor.api.status.StatusOwner;
import dev.torpor.api.status.WriteResult;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.time.Duration;
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
        record HandedOver(double seconds, long memoryBytes) implements Outcome {}

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
            vm.quit();
            return new Outcome.Spent();
        }
        VmFacts target = vm.probe();
        RestoreChecks.compare(image.header().vm(), target);
        VMRestore begun = publish();
        boolean directIO =
                target.parameters().contains("direct-io") && node.store().directIO();
        long began = System.nanoTime();
        Duration reading;
        try (ImageFiles files = image.openForQemu(directIO);
                ProgressPublisher progress = new ProgressPublisher(node.timer(), p -> node.status()
                        .news(StatusOwner.RESTORE_AGENT, begun, RestoreStatuses.progress(begun, p)))) {
            node.hook().before(Step.RESTORE_LOAD);
            LoadReport report = vm.load(target, files, new Cancellation(), progress);
            node.hook().after(Step.RESTORE_LOAD);
            reading = report.duration();
            LOG.info(
                    "VMRestore {}: loaded in {} ms",
                    restore.name(),
                    report.duration().toMillis());
        } catch (IOException e) {
            throw new TorporException(FailureReason.StoreFailed, "the image's file cannot be closed", e);
        }
        node.step(Step.RESTORE_HAND_OVER, () -> node.store()
                .transition(image.id(), new ImageState.HandedOver(vm.process())));
        node.step(Step.RESTORE_JOURNAL, () -> {
            VmRecord.HandOver to = new VmRecord.HandOver(restore.uid(), image.id(), vm.process());
            var _ = node.journal().update(restore.vm(), r -> r.handedOver(to));
        });
        node.metrics().loaded(Duration.ofNanos(System.nanoTime() - began), reading, image.allocatedBytes());
        return new Outcome.HandedOver(
                (System.nanoTime() - began) / 1e9, image.header().vm().memoryBytes());
    }

    // One try for each process: what was fed before, to whatever end, is not fed again.
    private static boolean isSpent(Vm vm) throws TorporException {
        return !vm.runState().incoming() || vm.wasFed();
    }

    private VMRestore publish() {
        VMRestore seen = restore.object();
        return switch (node.status()
                .transition(
                        StatusOwner.RESTORE_AGENT,
                        seen,
                        RestoreStatuses.loading(seen, node.clock().instant()))) {
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
