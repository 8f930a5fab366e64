package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.launch.VmJournal;
import dev.torpor.api.v1alpha1.VMSnapshot;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.AbstractExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** When a verdict on a guest's memory is known; how one is come to is tested with the image. */
class MemoryChecksTest {
    private static final ImageId IMAGE = new ImageId("vms", "web", "u1");

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @Test
    void aComparisonThatEndsBeforeItsBeginningIsNotedIsNotPendingForEver() throws Exception {
        FakeVms vms = new FakeVms();
        try (ImageStore store = ImageStore.open(temp.resolve("store"));
                ScheduledExecutorService timer = Executors.newScheduledThreadPool(1)) {
            SampleSave.commit(store, IMAGE, ImageMode.CHECKPOINT);
            assertThat(store.verify(IMAGE, (_, _) -> {})).isTrue();
            Node node =
                    TestNode.of(store, new VmJournal(store.directory()), vms, new FakeCluster(new VMSnapshot()), timer);
            try (MemoryChecks checks = new MemoryChecks(node, new AtOnce())) {
                MemoryChecks.Guest guest =
                        new MemoryChecks.Guest("r1", new WorkItem.Restore("vms", "r"), IMAGE, vms.process, false);
                assertThat(checks.look(guest)).isEqualTo(new MemoryChecks.Verdict.Sound());
                assertThat(checks.look(guest)).isEqualTo(new MemoryChecks.Verdict.Sound());
            }
        }
    }

    /** Has done what it is given when it returns. */
    private static final class AtOnce extends AbstractExecutorService {
        @Override
        public void execute(Runnable command) {
            command.run();
        }

        @Override
        public void shutdown() {}

        @Override
        public List<Runnable> shutdownNow() {
            return List.of();
        }

        @Override
        public boolean isShutdown() {
            return false;
        }

        @Override
        public boolean isTerminated() {
            return true;
        }

        @Override
        public boolean awaitTermination(long timeout, TimeUnit unit) {
            return true;
        }
    }
}
