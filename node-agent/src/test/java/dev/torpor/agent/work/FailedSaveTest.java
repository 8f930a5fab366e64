package dev.torpor.agent.work;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.agent.image.Compression;
import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.launch.VmJournal;
import dev.torpor.agent.launch.VmName;
import dev.torpor.agent.linux.SimulatedDisk;
import dev.torpor.agent.metrics.AgentMetrics;
import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.utils.Serialization;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What is done with, and said of, a guest that was paused for a save which then fails; its disk is simulated. */
class FailedSaveTest {
    private static final int DISK = 7;
    private static final int CALLS_MAX = 100;
    private static final ImageId IMAGE = new ImageId("vms", "web", "u1");

    private final AtomicLong nanos = new AtomicLong();
    private final SaveTurns turns = new SaveTurns(1, nanos::get);
    private final SaveWishes wishes = new SaveWishes();
    private final UnderWay underWay = new UnderWay();
    private final FakeVms vms = new FakeVms();
    private final ScheduledExecutorService timer = Executors.newScheduledThreadPool(1);

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    /** How many more calls the disk answers; negative: all. */
    private int left = -1;
    /** Whether it failed to answer one. */
    private boolean struck;
    /** How many calls of a commit it answers. */
    private int failAt;

    /** Whether it answers again after one that it failed to. */
    private boolean once;

    /** Whether the API server is away. */
    private boolean away;

    private String mode = "ManagedSave";
    private String compression = "None";
    private String createdBy = "somebody";
    private @Nullable Runnable afterPause;
    private @Nullable Runnable beforeCommit;
    private @Nullable Runnable beforePublish;

    @BeforeEach
    void write() {
        vms.writesSample = true;
    }

    @AfterEach
    void close() {
        timer.shutdownNow();
        SimulatedDisk.unmountAll();
    }

    @Test
    void whenTheObjectHasChangedTheGuestIsLetRunBeforeItIsPausedAgain() throws Exception {
        afterPause = () -> {
            throw new ChangedMeanwhileException();
        };
        try (World world = new World("a")) {
            assertThat(world.look()).isEqualTo(Next.now());
            requireRest(world);
        }
    }

    @Test
    void whenTheApiServerDoesNotAnswerToo() throws Exception {
        afterPause = () -> {
            throw new KubernetesClientException("away");
        };
        try (World world = new World("a")) {
            world.requireAway();
            requireRest(world);
        }
    }

    @Test
    void aGuestDoesNotWaitForItsQemuToBeDoneWithTheSaveThatFailed() throws Exception {
        afterPause = () -> {
            throw new ChangedMeanwhileException();
        };
        vms.refusesToSettle = FailureReason.QMPTimeout;
        try (World world = new World("a")) {
            assertThat(world.look()).isEqualTo(Next.now());
            assertThat(vms.running).isTrue();
            assertThat(world.look())
                    .as("what is left of it is taken back later")
                    .isEqualTo(Next.backOff());
            assertThat(world.isPartial()).isTrue();

            vms.refusesToSettle = null;
            assertThat(world.look()).as("undone").isEqualTo(Next.now());
            assertThat(world.isPartial()).isFalse();
            assertThat(vms.pauses).hasValue(1);
        }
    }

    /** Somebody asked for it, and is told: nothing is lost, as the guest goes on. */
    @Test
    @Timeout(60)
    void compressionThatWasAskedForAndThatItsQemuWasBuiltWithoutIsRefused() throws Exception {
        compression = "Zstd";
        vms.parameters = Set.of("multifd-compression", "cpu-throttle-tailslow");
        vms.refusesToCompress = true;
        try (World world = new World("a")) {
            while (!world.isEnded()) {
                var _ = world.look();
            }
            assertThat(world.said()).contains("told to be built without");
            assertThat(vms.saves).hasValue(1);
            assertThat(vms.running).isTrue();
        }
    }

    @Test
    void aDrainSavesWithoutACompressionThatItsQemuWasBuiltWithout() throws Exception {
        createdBy = "drain";
        compression = "Zstd";
        vms.parameters = Set.of("multifd-compression", "cpu-throttle-tailslow");
        vms.refusesToCompress = true;
        try (World world = new World("a")) {
            assertThat(world.look()).isEqualTo(Next.now());
            assertThat(world.isComplete()).isTrue();
            assertThat(vms.saves).hasValue(2);
            assertThat(requireNonNull(vms.lastPlan).compression()).isEqualTo(Compression.NONE);
        }
    }

    @Test
    void aDrainSavesWithoutACompressionThatItsQemuIsTooOldFor() throws Exception {
        createdBy = "drain";
        compression = "Zstd";
        vms.parameters = Set.of();
        try (World world = new World("a")) {
            assertThat(world.look()).isEqualTo(Next.now());
            assertThat(world.isComplete()).isTrue();
            assertThat(vms.saves).hasValue(1);
        }
    }

    private void requireRest(World world) throws Exception {
        assertThat(vms.running).isTrue();
        assertThat(underWay.transferring()).isFalse();
        assertThat(world.look()).as("undone").isEqualTo(Next.now());
        assertThat(world.look()).isInstanceOfSatisfying(Next.After.class, next -> assertThat(next.delay())
                .isPositive());
        assertThat(vms.pauses).hasValue(1);
    }

    @Test
    void theGuestOfACheckpointGoesOnAfterTheCommitThoughTheApiServerDoesNotAnswer() throws Exception {
        mode = "Checkpoint";
        beforeCommit = () -> away = true;
        try (World world = new World("a")) {
            assertThat(world.look()).isEqualTo(Next.now());
            assertThat(vms.running).isTrue();
            assertThat(world.state()).contains(new ImageState.Complete());
            world.requireAway();

            vms.running = false; // its owner's wish, from now on
            away = false;
            assertThat(world.look()).isEqualTo(Next.onChange());
            assertThat(vms.running).isFalse();
            assertThat(world.said()).contains("recorded");
        }
    }

    @Test
    void aGuestThatCouldNotBeContinuedThenIsWhileTheApiServerStillDoesNotAnswer() throws Exception {
        mode = "Checkpoint";
        beforeCommit = () -> {
            away = true;
            vms.refusesToRun = FailureReason.QMPTimeout;
        };
        try (World world = new World("a")) {
            assertThat(world.look()).isEqualTo(Next.now());
            assertThat(vms.running).isFalse();

            vms.refusesToRun = null;
            world.requireAway();
            assertThat(vms.running).isTrue();
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"Save", "ManagedSave", "Checkpoint"})
    void theVmGoesOnWhoseObjectWentAwayDuringItsSave(String mode) throws Exception {
        this.mode = mode;
        try (World world = new World("a")) {
            beforeCommit = () -> world.object = null;
            assertThat(world.look()).isEqualTo(Next.now());
            requireDisowned(world, Next.onChange());
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"Save", "ManagedSave", "Checkpoint"})
    void theVmGoesOnWhoseObjectWentAwayJustBeforeItWasTold(String mode) throws Exception {
        this.mode = mode;
        try (World world = new World("a")) {
            beforePublish = () -> world.object = null;
            assertThat(world.look()).isEqualTo(Next.now());
            assertThat(world.look()).isEqualTo(Next.backOff());
            requireDisowned(world, Next.onChange());
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"Save", "ManagedSave", "Checkpoint"})
    void theVmGoesOnBeforeItIsSavedForAnObjectThatHasTheNameOfTheOneThatWentAway(String mode) throws Exception {
        this.mode = mode;
        try (World world = new World("a")) {
            beforeCommit = () -> world.object = world.object("u2");
            assertThat(world.look()).isEqualTo(Next.now());
            requireDisowned(world, Next.now());
            assertThat(vms.saves).hasValue(2);
            var another = world.store.record(new ImageId("vms", "web", "u2")).orElseThrow();
            assertThat(another.state()).isEqualTo(new ImageState.Complete());
            assertThat(another.intent().wasRunning()).isTrue();
        }
    }

    private void requireDisowned(World world, Next next) throws Exception {
        beforeCommit = null;
        vms.refusesToSettle = mode.equals("Checkpoint") ? null : FailureReason.QMPTimeout;
        if (vms.refusesToSettle != null) {
            assertThat(world.look()).isEqualTo(Next.backOff());
            assertThat(world.state()).contains(new ImageState.Complete());
            vms.refusesToSettle = null;
        }
        assertThat(world.look()).isEqualTo(next);
        if (next.equals(Next.onChange())) {
            assertThat(vms.running).isTrue();
        }
        assertThat(world.state()).contains(new ImageState.Stale());
        assertThat(world.retired()).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void ofAGuestThatTheStoreKeepsPausedIsSaidWhoPausedIt(boolean ranBefore) throws Exception {
        beforeCommit = () -> left = failAt;
        int paused = 0;
        boolean complete = false;
        for (failAt = 0; failAt < CALLS_MAX && !complete; failAt++) {
            left = -1;
            struck = false;
            vms.running = ranBefore;
            try (World world = new World("d" + failAt)) {
                var _ = world.look();
                boolean runs = vms.running;
                if (struck && !runs) {
                    paused++;
                    assertThat(world.said())
                            .as("the disk fails after %s calls of the commit", failAt)
                            .contains(
                                    ranBefore ? "The VM is paused by this save" : "The VM is paused, as it was before.")
                            .doesNotContain(ranBefore ? "as it was before" : "by this save")
                            .doesNotContain("The VM runs");
                }
                complete = !struck;
                left = -1;
            }
        }
        assertThat(complete)
                .as("at last the commit gets all the calls it needs")
                .isTrue();
        assertThat(paused).isPositive();
    }

    @Test
    void whatCannotBeRemovedIsTriedAgainAfterAWhileAndHidesNoEnd() throws Exception {
        once = true;
        afterPause = () -> {
            throw new ChangedMeanwhileException();
        };
        int held = 0;
        int ended = 0;
        struck = true;
        for (int calls = 0; struck; calls++) {
            try (World world = new World("u" + calls)) {
                assertThat(world.look()).isEqualTo(Next.now());
                struck = false;
                left = calls;
                Next next = world.look();
                if (struck && world.isPartial()) {
                    held++;
                    assertThat(next).as("the disk fails after %s calls", calls).isEqualTo(Next.backOff());
                    assertThat(vms.running).isTrue();
                    world.cancel();
                    left = calls;
                    next = world.look();
                    if (world.isPartial()) {
                        assertThat(next).isEqualTo(Next.backOff());
                        ended += world.isEnded() ? 1 : 0;
                    }
                }
                left = -1;
            }
        }
        assertThat(held).isPositive();
        assertThat(ended).isPositive();
    }

    @Test
    @Timeout(60)
    void aQemuThatNeverEndsItsSaveHoldsUpNoOther() throws Exception {
        vms.writesSample = false;
        vms.obeys = false;
        try (World world = new World("a");
                ExecutorService worker = Executors.newSingleThreadExecutor()) {
            Future<Next> look = worker.submit(world::look);
            vms.writing.await();
            assertThat(turns.take("another")).isFalse();
            assertThat(underWay.transferring()).isTrue();

            wishes.cancelled("u1");
            await().until(() -> {
                assertThat(look.isDone()).isFalse();
                nanos.addAndGet(SaveTurns.LINGERING_MAX.toNanos());
                return turns.take("another");
            });
            assertThat(look.isDone()).as("its VM's own worker waits on").isFalse();
            await().untilAsserted(() -> assertThat(underWay.transferring())
                    .as("looks at images have the disk")
                    .isFalse());

            vms.obeys = true;
            var _ = look.get();
            assertThat(vms.running).isTrue();
            assertThat(turns.take("a third"))
                    .as("it gives no turn back that is another's")
                    .isFalse();
        }
    }

    @Test
    void ofAGuestThatCannotBeReachedIsNotSaidThatItRuns() throws Exception {
        beforeCommit = () -> {
            left = 0;
            vms.unreachable = FailureReason.QMPTimeout;
        };
        try (World world = new World("a")) {
            var _ = world.look();
            assertThat(vms.running).isFalse();
            assertThat(world.said())
                    .contains("The VM may be paused by this save")
                    .doesNotContain("The VM runs");

            left = -1;
            vms.unreachable = null;
            assertThat(world.look()).isEqualTo(Next.now());
            assertThat(vms.running).isTrue();
            assertThat(world.said()).contains("The VM runs. It is saved again later.");
            assertThat(world.state()).isEmpty();
        }
    }

    /** An agent's part that saves, over a store of its own. */
    private final class World implements AutoCloseable {
        private final ImageStore store;
        private final SnapshotTask task;
        private final FakeCluster cluster;
        private final VmJournal journal;
        /** What the API server has; null: nothing. */
        private @Nullable VMSnapshot object;

        World(String name) throws Exception {
            Path path = Files.createDirectory(temp.resolve(name)).toRealPath();
            var _ = SimulatedDisk.mount(path, DISK, this::fault);
            store = ImageStore.open(path);
            journal = new VmJournal(store.directory());
            object = object("u1");
            cluster = new FakeCluster(_ -> {
                if (away) {
                    throw new KubernetesClientException("away");
                }
                return object;
            });
            StepHook hook = new StepHook() {
                @Override
                public void before(Step step) {
                    run(step == Step.SAVE_COMMIT ? beforeCommit : null);
                    run(step == Step.SAVE_PUBLISH ? beforePublish : null);
                }

                @Override
                public void after(Step step) {
                    run(step == Step.SAVE_PAUSE ? afterPause : null);
                }
            };
            task = new SnapshotTask(
                    new Node(
                            store,
                            journal,
                            vms,
                            cluster,
                            cluster,
                            Clock.systemUTC(),
                            timer,
                            turns,
                            underWay,
                            new GuestReadiness(vms, cluster, Clock.systemUTC()),
                            new AgentMetrics(new SimpleMeterRegistry()),
                            hook,
                            item -> {}),
                    wishes,
                    new FakeNews());
        }

        VMSnapshot object(String uid) {
            return Serialization.unmarshal(
                    """
                    apiVersion: torpor.dev/v1alpha1
                    kind: VMSnapshot
                    metadata: {name: s, namespace: vms, uid: %s, creationTimestamp: "%s", finalizers: [torpor.dev/image], annotations: {torpor.dev/created-by: %s}}
                    spec: {vmName: web, mode: %s, verify: Never, parallel: {compression: %s}}
                    status: {nodeName: n, storeID: "%s", pod: {name: web, uid: p1}}
                    """.formatted(uid, Instant.now(), createdBy, mode, compression, store.storeID()), VMSnapshot.class);
        }

        List<String> retired() throws Exception {
            return journal.read(new VmName("vms", "web")).retiredPods();
        }

        private static void run(@Nullable Runnable what) {
            if (what != null) {
                what.run();
            }
        }

        private Optional<SimulatedDisk.Fault> fault() {
            if (left == 0) {
                struck = true;
                left = once ? -1 : 0;
                return Optional.of(SimulatedDisk.Fault.EIO);
            }
            left = Math.max(-1, left - 1);
            return Optional.empty();
        }

        Next look() {
            return task.look(new WorkItem.Snapshot("vms", "s"));
        }

        void requireAway() {
            try {
                throw new AssertionError("it is told to its caller, not " + look());
            } catch (KubernetesClientException e) {
                assertThat(e).hasMessage("away");
            }
        }

        Optional<ImageState> state() throws Exception {
            return store.state(IMAGE);
        }

        boolean isComplete() throws Exception {
            return store.state(IMAGE).equals(Optional.of(new ImageState.Complete()));
        }

        boolean isPartial() throws Exception {
            return store.state(IMAGE).equals(Optional.of(new ImageState.Partial()));
        }

        void cancel() {
            requireNonNull(requireNonNull(object).getStatus()).setCancelRequested(true);
        }

        boolean isEnded() {
            return !cluster.written().isEmpty()
                    && ((VMSnapshotStatus) cluster.written().getLast()).getFailure() != null;
        }

        String said() {
            VMSnapshotStatus last = (VMSnapshotStatus) cluster.written().getLast();
            return Conditions.find(last.getConditions(), ConditionType.SAVED)
                    .orElseThrow()
                    .getMessage();
        }

        @Override
        public void close() throws TorporException {
            task.close();
            store.close();
        }
    }
}
