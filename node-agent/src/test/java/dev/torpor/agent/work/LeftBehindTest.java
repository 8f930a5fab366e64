package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.image.PartialIntent;
import dev.torpor.agent.launch.VmJournal;
import dev.torpor.agent.node.PodDirectories;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Optional;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What an agent does as it starts for the saves of one that died; the API server is away. */
class LeftBehindTest {
    private static final ImageId IMAGE = new ImageId("vms", "web", "u1");

    private final FakeVms vms = new FakeVms();
    private final ScheduledExecutorService timer = Executors.newScheduledThreadPool(1);

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @SuppressWarnings("NullAway.Init")
    private ImageStore store;

    @SuppressWarnings("NullAway.Init")
    private Agent agent;

    @BeforeEach
    void start() throws Exception {
        store = ImageStore.open(temp.resolve("store"));
        FakeCluster away = new FakeCluster(_ -> {
            throw new KubernetesClientException("away");
        });
        agent = new Agent(
                TestNode.of(store, new VmJournal(store.directory()), vms, away, timer),
                new PodDirectories(temp.resolve("kubelet")),
                new SaveWishes(),
                new FakeNews(),
                Optional.empty());
    }

    @AfterEach
    void stop() throws Exception {
        agent.close();
        timer.shutdownNow();
        store.close();
    }

    @ParameterizedTest
    @EnumSource(ImageMode.class)
    void aSaveThatWasCutOffIsUndone(ImageMode mode) throws Exception {
        begun(mode, true);
        vms.running = false;
        agent.undoUnfinished();
        await().until(() -> store.record(IMAGE).isEmpty());
        assertThat(vms.running).isTrue();
    }

    @Test
    void undoingIsTriedAgainUntilQemuAnswers() throws Exception {
        begun(ImageMode.CHECKPOINT, true);
        vms.running = false;
        vms.writing.countDown();
        vms.deaf.set(2);
        agent.undoUnfinished();
        await().until(() -> store.record(IMAGE).isEmpty());
        assertThat(vms.deaf).hasValue(0);
        assertThat(vms.running).isTrue();
    }

    @Test
    void aGuestThatWasPausedBeforeStaysPaused() throws Exception {
        begun(ImageMode.CHECKPOINT, false);
        vms.running = false;
        agent.undoUnfinished();
        await().until(() -> store.record(IMAGE).isEmpty());
        assertThat(vms.running).isFalse();
    }

    private void begun(ImageMode mode, boolean wasRunning) throws Exception {
        var _ = store.create(IMAGE, new PartialIntent(mode, 0, wasRunning, Optional.of(vms.process), Instant.EPOCH));
    }
}
