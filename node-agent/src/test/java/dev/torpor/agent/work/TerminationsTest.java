package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.image.PartialIntent;
import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.agent.launch.VmJournal;
import dev.torpor.agent.launch.VmName;
import dev.torpor.agent.work.TerminationDecision.PodEnd;
import dev.torpor.api.v1alpha1.OnTermination;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What hooks of pods are told, on a real store, with real pipes. */
@Timeout(60)
class TerminationsTest {
    private static final WorkItem.Pod POD = new WorkItem.Pod(new VmName("vms", "web"), "p1");
    private static final Duration WAIT = Duration.ofMinutes(5);

    private final FakeVms vms = new FakeVms();
    private final FakeCluster cluster = new FakeCluster(new VMSnapshot());
    private final ScheduledExecutorService timer = Executors.newScheduledThreadPool(1);
    private final List<WorkItem.NodeEnd> submitted = new CopyOnWriteArrayList<>();

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @SuppressWarnings("NullAway.Init")
    private ImageStore store;

    @SuppressWarnings("NullAway.Init")
    private NodeShutdown shutdown;

    @SuppressWarnings("NullAway.Init")
    private Terminations terminations;

    @BeforeEach
    void open() throws Exception {
        store = ImageStore.open(temp.resolve("store"));
        Node node = TestNode.of(store, new VmJournal(store.directory()), vms, cluster, timer);
        PodSaves saves = new PodSaves(node, new SaveWishes(), new FakeNews());
        shutdown = new NodeShutdown(
                node,
                saves,
                new NodeShutdown.Setup(
                        new ShutdownReports(store.directory()), new SaveRate(store.directory(), () -> 0), 1),
                new FakeNews(),
                submitted::add);
        terminations = new Terminations(node, saves, Optional.of(shutdown));
        // What the API shows of a pod that runs, and of one that the kubelet ends by itself.
        cluster.ends().put(POD.podUID(), new PodEnd("web", Optional.empty(), 60, false, OnTermination.OnDisruption));
        vms.writesSample = true;
    }

    @AfterEach
    void close() throws Exception {
        timer.shutdownNow();
        store.close();
    }

    @Test
    void aVmThatWaitsForItsTurnAtAShutdownIsNotLetGoBefore() throws Exception {
        shutdown.start(() -> Optional.of(List.of(pod("db", "p2", 10), pod("web", POD.podUID(), 0))));
        long enoughSeconds = WAIT.toSeconds() * 2;
        for (String uid : List.of("p2", POD.podUID())) {
            cluster.ends()
                    .put(uid, new PodEnd("x", Optional.empty(), enoughSeconds, false, OnTermination.OnDisruption));
        }
        shutdown.begins(WAIT, () -> {});
        assertThat(submitted).extracting(WorkItem.NodeEnd::podUID).containsExactly("p2");
        try (PodHook hook = PodHook.ask(temp.resolve("kubelet"), POD.podUID(), "x")) {
            assertThat(answer(hook)).isFalse();
            assertThat(hook.heard()).contains("say its node goes down: the VM is saved in its turn");
            assertThat(vms.saves).as("those before it go first").hasValue(0);

            vms.process = new ProcessIdentity("p2", "c2", "boot", 2, 2);
            assertThat(shutdown.look(submitted.getFirst())).isEqualTo(Next.onChange());
            assertThat(vms.saves).hasValue(1);
            assertThat(submitted).extracting(WorkItem.NodeEnd::podUID).containsExactly("p2", POD.podUID());
            assertThat(answer(hook)).isFalse();

            vms.running = true;
            vms.process = new ProcessIdentity(POD.podUID(), "c1", "boot", 1, 1);
            assertThat(shutdown.look(submitted.getLast())).isEqualTo(Next.onChange());
            assertThat(vms.saves).hasValue(2);
            assertThat(hook.answered((asks, id) -> terminations.answer(POD, Terminations.Hook.of(asks, id), true)))
                    .isTrue();
            assertThat(hook.heard()).endsWith("go\n\n");
        }
    }

    @Test
    void aVmWhosePodEndsBeforeItsTurnIsSavedOutOfTurn() throws Exception {
        shutdown.start(() -> Optional.of(List.of(pod("db", "p2", 10), pod("web", POD.podUID(), 0))));
        cluster.ends().put("p2", new PodEnd("db", Optional.empty(), 60, false, OnTermination.OnDisruption));
        shutdown.begins(WAIT, () -> {});
        assertThat(submitted).extracting(WorkItem.NodeEnd::podUID).containsExactly("p2");
        try (PodHook hook = PodHook.ask(temp.resolve("kubelet"), POD.podUID(), "x")) {
            assertThat(answer(hook)).isTrue();
            assertThat(vms.saves).hasValue(1);
            assertThat(hook.heard()).contains("say the VM is being saved").endsWith("go\n\n");
        }
    }

    @Test
    void roomThatAnotherSaveMayNotNeedAfterAllIsWaitedFor() throws Exception {
        disrupted();
        try (PodHook hook = PodHook.ask(temp.resolve("kubelet"), POD.podUID(), "x")) {
            try (ImageStore.Room _ = store.reserve(
                    new ImageId("vms", "db", "u"), store.freeBytes() - 2 * ImageStore.SPACE_BESIDE_BYTES)) {
                assertThat(answer(hook)).isFalse();
                assertThat(vms.saves).hasValue(0);
                assertThat(vms.running).isTrue();
            }
            assertThat(answer(hook)).isTrue();
            assertThat(vms.saves).hasValue(1);
            assertThat(hook.heard()).endsWith("go\n\n");
        }
    }

    /** Whoever began it: else the guest is saved as it is then, paused. */
    @Test
    void whatAVmSnapshotBeganIsTakenBackFirst() throws Exception {
        disrupted();
        ImageId begun = new ImageId("vms", "web", "u1");
        var _ = store.create(
                begun, new PartialIntent(ImageMode.SAVE, 0, true, Optional.of(vms.process), Instant.EPOCH));
        vms.running = false;
        try (PodHook hook = PodHook.ask(temp.resolve("kubelet"), POD.podUID(), "x")) {
            assertThat(answer(hook)).isTrue();
        }
        assertThat(store.list()).singleElement().satisfies(record -> {
            assertThat(record.id()).isNotEqualTo(begun);
            assertThat(record.intent().wasRunning()).isTrue();
        });
    }

    @Test
    void asksOfOnePodDoNotMakeThoseOfAnotherForgotten() {
        HookTimes times = new HookTimes();
        Instant first = Instant.EPOCH;
        assertThat(times.heard("p1", "x", first)).isEmpty();
        for (int i = 0; i < 10_000; i++) {
            assertThat(times.heard("p2", "x" + i, first.plusSeconds(i))).isEmpty();
        }
        assertThat(times.heard("p1", "x", first.plusSeconds(60))).contains(first);
        assertThat(times.heard("p2", "x0", first))
                .as("and their own are bounded")
                .isEmpty();
    }

    private static Pod pod(String name, String uid, int priority) {
        return new PodBuilder()
                .withNewMetadata()
                .withName(name)
                .withNamespace("vms")
                .withUid(uid)
                .addToLabels(Torpor.VM_LABEL, name)
                .endMetadata()
                .withNewSpec()
                .withPriority(priority)
                .endSpec()
                .build();
    }

    /** Kubernetes deletes the pod for its own reasons. */
    private void disrupted() {
        cluster.ends()
                .put(
                        POD.podUID(),
                        new PodEnd(
                                "web",
                                Optional.of(Instant.now().plusSeconds(60)),
                                60,
                                true,
                                OnTermination.OnDisruption));
    }

    private boolean answer(PodHook hook) throws Exception {
        return hook.answered((asks, id) -> terminations.answer(POD, Terminations.Hook.of(asks, id), false));
    }

    @Test
    void aPodThatNothingEndsIsSavedOnceLogindTellsOfAShutdownAndUntilItGivesThatUp() throws Exception {
        try (PodHook hook = PodHook.ask(temp.resolve("kubelet"), POD.podUID(), "x")) {
            assertThat(answer(hook)).isFalse();
            assertThat(vms.saves).hasValue(0);

            shutdown.begins(WAIT, () -> {});
            shutdown.cancelled();
            assertThat(answer(hook)).isFalse();
            assertThat(vms.saves).hasValue(0);

            shutdown.begins(WAIT, () -> {});
            assertThat(answer(hook)).isTrue();
            assertThat(vms.saves).hasValue(1);
            assertThat(hook.heard()).contains("say the VM is being saved").endsWith("go\n\n");
        }
    }
}
