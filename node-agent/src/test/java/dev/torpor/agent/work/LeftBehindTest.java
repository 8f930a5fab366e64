package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.image.PartialIntent;
import dev.torpor.agent.launch.VmJournal;
import dev.torpor.agent.launch.VmName;
import dev.torpor.agent.node.PodDirectories;
import dev.torpor.api.v1alpha1.VMSnapshot;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What an agent does as it starts for the saves of one that died, while the API server is away. */
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
    private Node node;

    @SuppressWarnings("NullAway.Init")
    private Agent agent;

    private volatile boolean away = true;
    /** What the API server has; null: nothing. */
    private volatile @Nullable VMSnapshot object;

    @BeforeEach
    void start() throws Exception {
        store = ImageStore.open(temp.resolve("store"));
        object = Serialization.unmarshal("""
            apiVersion: torpor.dev/v1alpha1
            kind: VMSnapshot
            metadata: {name: s, namespace: vms, uid: u1, creationTimestamp: "%s", finalizers: [torpor.dev/image]}
            spec: {vmName: web, mode: ManagedSave, verify: Never}
            status: {nodeName: n, storeID: "%s", pod: {name: web, uid: p1}}
            """.formatted(Instant.now(), store.storeID()), VMSnapshot.class);
        FakeCluster cluster = new FakeCluster(_ -> {
            if (away) {
                throw new KubernetesClientException("away");
            }
            return object;
        });
        node = TestNode.of(store, new VmJournal(store.directory()), vms, cluster, timer);
        agent = new Agent(
                node, new PodDirectories(temp.resolve("kubelet")), new SaveWishes(), new FakeNews(), Optional.empty());
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

    /** What is undone late, as its file could not be removed. */
    @Test
    void aGuestThatWasSavedSinceStaysPaused() throws Exception {
        var _ = store.create(
                new ImageId("vms", "web", "u0"),
                new PartialIntent(ImageMode.MANAGED_SAVE, 0, true, Optional.of(vms.process), Instant.EPOCH));
        committed();
        agent.undoUnfinished();
        await().until(() -> store.list().size() == 1);
        assertThat(store.state(IMAGE)).contains(new ImageState.Complete());
        assertThat(vms.running).isFalse();
    }

    @Test
    void aCommittedImageOfNobodyIsDisownedOnceTheApiServerSaysSo() throws Exception {
        committed();
        agent.undoUnfinished();
        await().during(Duration.ofMillis(200)).until(() -> !vms.running);
        object = null;
        away = false;
        await().until(() -> store.state(IMAGE).equals(Optional.of(new ImageState.Stale())));
        assertThat(vms.running).isTrue();
    }

    @Test
    void whoseIsThereIsLeftToIt() throws Exception {
        committed();
        away = false;
        agent.undoUnfinished();
        await().during(Duration.ofMillis(500))
                .until(() -> !vms.running && store.state(IMAGE).equals(Optional.of(new ImageState.Complete())));
    }

    @Test
    void whatWasSavedAsItsPodEndsIsNotDisowned() throws Exception {
        vms.writesSample = true;
        WorkItem.Pod pod = new WorkItem.Pod(new VmName("vms", "web"), "p1");
        var result = new PodSaves(node, new SaveWishes(), new FakeNews())
                .save(
                        pod,
                        pod,
                        new PodSaves.Why("its pod ends", "too late"),
                        Instant.now().plusSeconds(60),
                        _ -> {});
        assertThat(result).isEqualTo(PodSaves.Result.SAVED);
        ImageId image = store.list().getFirst().id();
        object = null;
        away = false;

        agent.undoUnfinished();
        new LeftBehind(node, new FakeNews()).disown(image, false);
        await().during(Duration.ofMillis(200)).until(() -> !vms.running);
        assertThat(store.state(image)).contains(new ImageState.Complete());
    }

    /** An agent dies right after the commit. */
    private void committed() {
        vms.writesSample = true;
        away = false;
        try (SnapshotTask task = new SnapshotTask(node, new SaveWishes(), new FakeNews())) {
            assertThat(task.look(new WorkItem.Snapshot("vms", "s"))).isEqualTo(Next.now());
        }
        assertThat(vms.running).isFalse();
        away = true;
    }

    private void begun(ImageMode mode, boolean wasRunning) throws Exception {
        var _ = store.create(IMAGE, new PartialIntent(mode, 0, wasRunning, Optional.of(vms.process), Instant.EPOCH));
    }
}
