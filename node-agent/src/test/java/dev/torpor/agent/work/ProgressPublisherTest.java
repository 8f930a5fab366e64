package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.launch.VmJournal;
import dev.torpor.agent.metrics.AgentMetrics;
import dev.torpor.api.status.StatusOwner;
import dev.torpor.api.status.StatusWriter;
import dev.torpor.api.status.WriteResult;
import dev.torpor.api.v1alpha1.Progress;
import dev.torpor.api.v1alpha1.VMSnapshot;
import io.fabric8.kubernetes.client.CustomResource;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.utils.Serialization;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Path;
import java.time.Clock;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a save tells while QEMU writes, though the API server refuses some of it. */
class ProgressPublisherTest {
    private final List<Runnable> ticks = new ArrayList<>();
    private final ScheduledThreadPoolExecutor timer = new ScheduledThreadPoolExecutor(1) {
        @Override
        public ScheduledFuture<?> scheduleWithFixedDelay(Runnable task, long first, long delay, TimeUnit unit) {
            ticks.add(task);
            return super.scheduleWithFixedDelay(task, 1, 1, TimeUnit.DAYS);
        }
    };

    @AfterEach
    void stop() {
        timer.shutdownNow();
    }

    @Test
    void progressIsToldThoughWhatElseATickDoesFails() {
        List<Progress> published = new ArrayList<>();
        try (ProgressPublisher publisher = new ProgressPublisher(timer, published::add, () -> {
            throw new KubernetesClientException("refused");
        })) {
            publisher.progress(1, 2);
            ticks.forEach(Runnable::run);
            assertThat(published).extracting(Progress::doneBytes).containsExactly(1L);
        }
    }

    @Test
    void thatASaveIsGivenUpIsSaidUntilItIsWrittenAndThenNoMore(@TempDir Path temp) throws Exception {
        Refusing status = new Refusing();
        VMSnapshot object = Serialization.unmarshal("""
                apiVersion: torpor.dev/v1alpha1
                kind: VMSnapshot
                metadata: {name: s, namespace: vms, uid: u1, creationTimestamp: "2026-01-02T03:04:05Z"}
                spec: {vmName: web}
                """, VMSnapshot.class);
        FakeVms vms = new FakeVms();
        FakeCluster cluster = new FakeCluster(object);
        try (ImageStore store = ImageStore.open(temp.resolve("store"))) {
            Node node = new Node(
                    store,
                    new VmJournal(store.directory()),
                    vms,
                    cluster,
                    status,
                    Clock.systemUTC(),
                    timer,
                    new SaveTurns(2),
                    new UnderWay(),
                    new GuestReadiness(vms, cluster, Clock.systemUTC()),
                    new AgentMetrics(new SimpleMeterRegistry()),
                    StepHook.NONE,
                    item -> {});
            SnapshotOrder order = new SnapshotOrder(node, SnapshotView.of(object));
            try (ProgressPublisher _ =
                    new ProgressPublisher(timer, order::progress, () -> order.givingUp("it was cancelled"))) {
                for (int tick = 0; tick < 5; tick++) {
                    ticks.forEach(Runnable::run);
                }
            }
        }
        assertThat(status.asked).as("refused, changed, written").isEqualTo(3);
    }

    /** Fails once, then says that the object has changed, then writes. */
    private static final class Refusing implements StatusWriter {
        private int asked;

        @Override
        public <R extends CustomResource<?, S>, S> WriteResult<R> transition(StatusOwner<R, S> owner, R seen, S own) {
            throw new AssertionError("no transition is to be told");
        }

        @Override
        public <R extends CustomResource<?, S>, S> WriteResult<R> news(StatusOwner<R, S> owner, R seen, S own) {
            return switch (++asked) {
                case 1 -> throw new KubernetesClientException("refused");
                case 2 -> new WriteResult.Stale<>("it has changed");
                default -> new WriteResult.Written<>(seen);
            };
        }
    }
}
