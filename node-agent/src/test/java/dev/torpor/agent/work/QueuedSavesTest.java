package dev.torpor.agent.work;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.agent.launch.VmJournal;
import dev.torpor.agent.linux.SimulatedDisk;
import dev.torpor.agent.metrics.AgentMetrics;
import dev.torpor.agent.node.PodDirectories;
import dev.torpor.api.status.Conditions;
import dev.torpor.api.status.StatusOwner;
import dev.torpor.api.status.StatusWriter;
import dev.torpor.api.status.WriteResult;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.failure.TorporException;
import io.fabric8.kubernetes.client.CustomResource;
import io.fabric8.kubernetes.client.utils.Serialization;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A whole node's VMs are to be saved in the same moment, as by a drain. */
class QueuedSavesTest {
    private static final int VMS = 200;
    private static final int AT_ONCE = 2;
    private static final int TIMER_THREADS = 5;
    /** Queued, Saving, how far it is, Saved. */
    private static final int WRITES_EACH_MAX = 4;

    private final Map<String, FakeVms> qemus = new ConcurrentHashMap<>();
    private final Map<String, VMSnapshot> objects = new ConcurrentHashMap<>();
    private final List<String> order = new CopyOnWriteArrayList<>();
    private final AtomicInteger writes = new AtomicInteger();
    private final AtomicInteger reads = new AtomicInteger();
    private final AtomicInteger underWay = new AtomicInteger();
    private final AtomicInteger underWayMax = new AtomicInteger();
    private final CountDownLatch allAreQueued = new CountDownLatch(1);
    private final ScheduledExecutorService timer = Executors.newScheduledThreadPool(TIMER_THREADS);

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @AfterEach
    void close() {
        timer.shutdownNow();
        SimulatedDisk.unmountAll();
    }

    @Test
    @SuppressWarnings("SystemOut") // The figures belong to the result.
    void twoHundredAreSavedInOrderWithTheThreadsAndRequestsOfAFew() throws Exception {
        Path path = Files.createDirectory(temp.resolve("store")).toRealPath();
        var _ = SimulatedDisk.mount(path, 1, Optional::empty);
        AtomicReference<Consumer<WorkItem>> wake = new AtomicReference<>(item -> {});
        int threads;
        try (ImageStore store = ImageStore.open(path);
                Agent agent = agent(store, wake)) {
            wake.set(agent::wake);
            int threadsBefore = Thread.activeCount();
            // The biggest first: it is not the order of their coming that counts.
            for (int i = VMS; i > 0; i--) {
                String name = "vm-%03d".formatted(i);
                FakeVms qemu = new FakeVms();
                qemu.writesSample = true;
                qemu.process = new ProcessIdentity("pod-" + name, "c1", "boot", 1, 1);
                qemus.put("pod-" + name, qemu);
                objects.put(name, object(name, i, store.storeID()));
            }
            objects.keySet().stream()
                    .sorted((a, b) -> b.compareTo(a))
                    .forEach(name -> agent.snapshot(requireNonNull(objects.get(name))));
            await().atMost(Duration.ofSeconds(60)).until(() -> agent.savesQueued() == VMS - AT_ONCE);
            threads = Thread.activeCount() - threadsBefore;
            assertThat(threads)
                    .as("one for each VM at most, and those of the timer")
                    .isLessThanOrEqualTo(VMS + TIMER_THREADS);
            allAreQueued.countDown();
            await().atMost(Duration.ofMinutes(2))
                    .until(() -> objects.values().stream().allMatch(QueuedSavesTest::isSaved));
            assertThat(agent.savesQueued()).isZero();
            await().atMost(Duration.ofSeconds(10)).until(() -> agent.workQueued() == 0);
        }
        assertThat(underWayMax).hasValueLessThanOrEqualTo(AT_ONCE);
        assertThat(writes).hasValueLessThanOrEqualTo(VMS * WRITES_EACH_MAX);
        List<String> rest = order.subList(AT_ONCE, VMS);
        List<String> sorted = rest.stream().sorted().toList();
        assertThat(IntStream.range(0, rest.size()).map(i -> Math.abs(i - sorted.indexOf(rest.get(i)))))
                .as("the smallest go first, so many at a time: %s", rest)
                .allMatch(places -> places <= AT_ONCE);
        System.out.printf(
                "figure: %d saves of one node asked for at once: %d threads, %d writes and %d reads of VMSnapshots%n",
                VMS, threads, writes.get(), reads.get());
    }

    private Agent agent(ImageStore store, AtomicReference<Consumer<WorkItem>> wake) {
        Vm.Vms vms = new Vm.Vms() {
            @Override
            public Vm connect(String podUID) throws TorporException {
                if (!order.contains(podUID)) {
                    order.add(podUID);
                }
                return of(podUID).connect(podUID);
            }

            @Override
            public boolean saysAllIsRead(String podUID) {
                return false;
            }

            @Override
            public boolean isAsking(String podUID) {
                return false;
            }

            @Override
            public boolean isAlive(ProcessIdentity process) {
                return of(process.podUID()).isAlive(process);
            }
        };
        FakeCluster cluster = new FakeCluster(this::read);
        StepHook hook = new StepHook() {
            @Override
            public void before(Step step) {
                if (step == Step.SAVE_WRITE) {
                    underWayMax.accumulateAndGet(underWay.incrementAndGet(), Math::max);
                    awaitQueue();
                }
            }

            @Override
            public void after(Step step) {
                if (step == Step.SAVE_WRITE) {
                    underWay.decrementAndGet();
                }
            }
        };
        Node node = new Node(
                store,
                new VmJournal(store.directory()),
                vms,
                cluster,
                new Status(),
                Clock.systemUTC(),
                timer,
                new SaveTurns(AT_ONCE),
                new UnderWay(),
                new GuestReadiness(vms, cluster, Clock.systemUTC()),
                new AgentMetrics(new SimpleMeterRegistry()),
                hook,
                item -> wake.get().accept(item));
        return new Agent(
                node, new PodDirectories(temp.resolve("kubelet")), new SaveWishes(), new FakeNews(), Optional.empty());
    }

    private void awaitQueue() {
        try {
            assertThat(allAreQueued.await(60, TimeUnit.SECONDS)).isTrue();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private FakeVms of(String podUID) {
        return Objects.requireNonNull(qemus.get(podUID));
    }

    private VMSnapshot read(String name) {
        reads.incrementAndGet();
        return Objects.requireNonNull(objects.get(name));
    }

    private static VMSnapshot object(String name, int memory, String storeID) {
        return Serialization.unmarshal("""
                apiVersion: torpor.dev/v1alpha1
                kind: VMSnapshot
                metadata:
                  name: %1$s
                  namespace: vms
                  uid: %1$s
                  creationTimestamp: "%2$s"
                  finalizers: [torpor.dev/image]
                  annotations: {torpor.dev/memory-bytes: "%3$d"}
                spec: {vmName: %1$s, mode: ManagedSave, verify: Never, deadlineSeconds: 3600}
                status: {nodeName: n, storeID: "%4$s", pod: {name: %1$s, uid: pod-%1$s}}
                """.formatted(name, Instant.now(), memory, storeID), VMSnapshot.class);
    }

    private static boolean isSaved(VMSnapshot object) {
        return Conditions.isTrue(object.getStatus().getConditions(), ConditionType.SAVED);
    }

    /** Keeps what is said of each object, as the API server does. */
    private final class Status implements StatusWriter {
        @Override
        public <R extends CustomResource<?, S>, S> WriteResult<R> transition(StatusOwner<R, S> owner, R seen, S own) {
            return news(owner, seen, own);
        }

        @Override
        public <R extends CustomResource<?, S>, S> WriteResult<R> news(StatusOwner<R, S> owner, R seen, S own) {
            VMSnapshot now =
                    Objects.requireNonNull(objects.get(seen.getMetadata().getName()));
            VMSnapshotStatus status = (VMSnapshotStatus) own;
            status.setNodeName(now.getStatus().getNodeName());
            status.setStoreID(now.getStatus().getStoreID());
            status.setPod(now.getStatus().getPod());
            if (Serialization.asJson(status).equals(Serialization.asJson(now.getStatus()))) {
                return new WriteResult.Unchanged<>();
            }
            writes.incrementAndGet();
            VMSnapshot next = Serialization.clone(now);
            next.setStatus(status);
            objects.put(now.getMetadata().getName(), next);
            return new WriteResult.Written<>(owner.kind().cast(next));
        }
    }
}
