package dev.torpor.agent.launch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageRecord;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.image.PartialIntent;
import dev.torpor.agent.linux.HangingDisk;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A flush that hangs keeps those waiting who want to know what it flushes, and nobody else. */
@Timeout(60)
@SuppressWarnings("NullAway.Init")
class HangingDiskTest {
    private static final ImageId WEB = new ImageId("vms", "web", "u1");
    private static final ImageId DB = new ImageId("vms", "db", "u2");
    private static final VmName WEB_VM = new VmName("vms", "web");
    private static final VmName DB_VM = new VmName("vms", "db");

    @TempDir
    private Path temp;

    private ImageStore store;
    private VmJournal journal;
    private ExecutorService other;

    @BeforeEach
    void open() throws Exception {
        store = ImageStore.open(temp.resolve("store"));
        journal = new VmJournal(store.directory());
        other = Executors.newCachedThreadPool();
        var _ = store.create(WEB, intent());
        var _ = store.create(DB, intent());
    }

    @AfterEach
    void close() throws Exception {
        other.close();
        store.close();
    }

    @Test
    void recordsOfOtherImagesAreRead() throws Exception {
        Future<?> hangs = whileItHangs(
                () -> {
                    store.delete(WEB);
                    return null;
                },
                () -> {
                    assertThat(store.state(DB)).contains(new ImageState.Partial());
                    assertThat(store.list("vms", "db"))
                            .extracting(ImageRecord::id)
                            .containsExactly(DB);
                });
        hangs.get();
        assertThat(store.state(WEB)).isEmpty();
    }

    @Test
    void recordsOfOtherVmsAreRead() throws Exception {
        var _ = journal.update(DB_VM, vm -> vm.retired("other"));
        Future<?> hangs = whileItHangs(
                () -> journal.update(WEB_VM, vm -> vm.retired("pod")),
                () -> assertThat(journal.read(DB_VM).retiredPods()).containsExactly("other"));
        hangs.get();
        assertThat(journal.read(WEB_VM).retiredPods()).containsExactly("pod");
    }

    @Test
    void aProbeKeepsNobodyWaiting() throws Exception {
        Future<?> hangs = whileItHangs(
                () -> {
                    store.probeWritable();
                    return null;
                },
                () -> {
                    assertThat(store.list()).hasSize(2);
                    store.reserve(DB, 1).close();
                });
        hangs.get();
    }

    @Test
    void whoAsksForWhatIsBeingFlushedWaits() throws Exception {
        Future<?> hangs;
        FutureTask<VmRecord> reader = new FutureTask<>(() -> journal.read(WEB_VM));
        Thread thread = new Thread(reader);
        // What is prepared is renamed at once, and then flushed.
        var _ = journal.update(WEB_VM, vm -> vm.retired("first"));
        journal.prepare(WEB_VM, vm -> vm.retired("pod"));
        try (HangingDisk disk = new HangingDisk()) {
            hangs = other.submit(() -> journal.update(WEB_VM, vm -> vm.retired("pod")));
            disk.awaitFlush();
            thread.start();
            await("a reader that waits").until(() -> thread.getState() == Thread.State.BLOCKED);
        }
        hangs.get();
        assertThat(reader.get().retiredPods()).containsExactly("first", "pod");
    }

    private interface Look {
        void look() throws Exception;
    }

    /** Has {@code hangs} wait for its flush in another thread, and looks meanwhile. */
    private Future<?> whileItHangs(Callable<?> hangs, Look look) throws Exception {
        try (HangingDisk disk = new HangingDisk()) {
            Future<?> flush = other.submit(hangs);
            disk.awaitFlush();
            look.look();
            assertThat(flush.isDone()).isFalse();
            return flush;
        }
    }

    private static PartialIntent intent() {
        return new PartialIntent(ImageMode.SAVE, 1, true, Optional.empty(), Instant.EPOCH);
    }
}
