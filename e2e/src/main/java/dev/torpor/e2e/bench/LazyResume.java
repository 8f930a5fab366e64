package dev.torpor.e2e.bench;

import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.engine.Guest;
import dev.torpor.agent.engine.LazyParts;
import dev.torpor.agent.engine.MappedMemory;
import dev.torpor.agent.engine.QemuDirectEngine;
import dev.torpor.agent.engine.QemuProbe;
import dev.torpor.agent.engine.RestoreChecks;
import dev.torpor.agent.engine.ResumeTarget;
import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.ImageHeader;
import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.agent.launch.Ask;
import dev.torpor.agent.launch.FolderId;
import dev.torpor.agent.launch.LazyStart;
import dev.torpor.agent.launch.QemuVersion;
import dev.torpor.agent.launch.VmJournal;
import dev.torpor.agent.launch.VmName;
import dev.torpor.agent.launch.VmRecord;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;

/**
 * One lazy resume from the launch of QEMU to its running guest, by the calls that the agent's {@code LoadRun} makes, in its
 * order: all but those to the API server, and the look at the pod's cgroup.
 */
final class LazyResume {
    private static final VmName VM = new VmName("bench", "vm");

    private final ImageStore store;
    private final VmJournal journal;
    private final ImageId id;
    private final Path file;
    private final Map<String, Double> steps = new LinkedHashMap<>();
    private long last;

    /**
     * Sets up.
     *
     * @param file of the image, as QEMU sees it
     */
    LazyResume(ImageStore store, ImageId id, Path file) {
        this.store = store;
        this.journal = new VmJournal(store.directory());
        this.id = id;
        this.file = file;
    }

    /** Resumes, and returns the seconds of each step; QEMU is ended afterwards. */
    Map<String, Double> run(Path directory, long bytes) throws IOException, TorporException {
        // What the launcher was told before it became QEMU.
        List<String> words = mapping(store.open(id));
        last = System.nanoTime();
        try (BenchVm vm = BenchVm.incoming(directory, bytes, words)) {
            CommittedImage image = store.open(id);
            image.requireRestorable();
            try (LazyParts parts = LazyParts.of(image, LazyParts.expected(image.layout()))) {
                done("image checked, shadow and samples ready");
                try (QmpClient qmp = vm.connect()) {
                    done("QEMU greets");
                    resume(qmp, image, parts);
                }
            }
        }
        return steps;
    }

    private void resume(QmpClient qmp, CommittedImage image, LazyParts parts) throws TorporException {
        int pid = qmp.peer().pid();
        ImageState.HandedOver state =
                new ImageState.HandedOver(new ProcessIdentity("pod", "container", "boot", pid, 1));
        VmRecord.HandOver to = new VmRecord.HandOver("restore", id, state.process());
        CompletableFuture<Void> ahead = CompletableFuture.runAsync(
                () -> {
                    try {
                        store.prepareTransition(id, state);
                        journal.prepare(VM, record -> record.handedOver(to));
                    } catch (TorporException e) {
                        throw new IllegalStateException(e);
                    }
                },
                task -> Thread.ofPlatform().start(task));
        ResumeTarget target = QemuProbe.target(qmp, image.layout(), file.toString());
        if (!target.facts().isFresh() || !parts.mapped().equals(target.mapped())) {
            throw new IllegalStateException("QEMU has not mapped the image: " + target);
        }
        RestoreChecks.compare(image.header().vm(), target.facts());
        done("probed and compared");
        var _ = QemuDirectEngine.feedShadow(
                qmp, target, parts.shadow().buffered(), ImageHeader.STREAM_OFFSET_BYTES, new Cancellation());
        done("device state loaded");
        MappedMemory.compare(qmp, target, parts.samples());
        done("samples compared");
        ahead.join();
        var _ = store.transitionUnflushed(id, state);
        var _ = journal.updateUnflushed(VM, record -> record.handedOver(to));
        store.flush(id);
        journal.flush(VM);
        done("hand-over recorded");
        Guest.resume(qmp);
        done("guest runs");
        QemuDirectEngine.settle(qmp);
    }

    private void done(String step) {
        long now = System.nanoTime();
        steps.put(step, (now - last) / 1e9);
        last = now;
    }

    /** Returns the words that the agent adds to the command. */
    private List<String> mapping(CommittedImage image) {
        FolderId folder = new FolderId(1, 1);
        Ask ask = new Ask(
                "bench", List.of("qemu-system-x86_64"), Optional.of(new QemuVersion(9, 0)), Optional.of(folder));
        return switch (LazyStart.of(ask, new LazyStart.Image(image.header(), image.layout(), folder))) {
            case LazyStart.Possible start ->
                start.argv().stream()
                        .skip(1)
                        .map(word -> word.replace(LazyStart.pathInPod(image.id()), file.toString()))
                        .toList();
            case LazyStart.NotPossible(String why) -> throw new IllegalStateException(why);
        };
    }
}
