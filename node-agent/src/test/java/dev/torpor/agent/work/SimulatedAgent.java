package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageRecord;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.launch.VmJournal;
import dev.torpor.agent.launch.VmRecord;
import dev.torpor.agent.metrics.AgentMetrics;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.failure.TorporException;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.IOException;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.function.UnaryOperator;

/** One life of an agent: the product's own tasks, over the product's own store and journal. */
final class SimulatedAgent {
    private static final AgentMetrics METRICS = new AgentMetrics(new SimpleMeterRegistry());

    /** Of deadlines and progress, which the simulation has no use for: nothing is run. */
    private static final ScheduledExecutorService NEVER = never();

    private final Node node;
    private final SnapshotTask snapshots;
    private final RestoreTask restores;
    private final ManagedImages images;
    private final StorePublisher publisher;
    private final Terminations terminations;
    private final LeftBehind undoing;
    private final List<ImageId> leftBehind = new ArrayList<>();
    private boolean news;

    SimulatedAgent(SimulatedWorld world, SimulatedWorld.Host host) throws TorporException {
        SimulatedApi api = new SimulatedApi(world, host);
        SimulatedQemu vms = new SimulatedQemu(world, host);
        ImageStore store = ImageStore.open(host.path);
        StepHook hook = new StepHook() {
            @Override
            public void before(Step step) {
                host.trouble.step(step);
            }

            @Override
            public void after(Step step) {
                var _ = host.trouble.at(SimulatedTrouble.Place.STEP);
            }
        };
        node = new Node(
                store,
                new VmJournal(store.directory()),
                vms,
                api,
                api,
                world.clock(),
                NEVER,
                new SaveTurns(1),
                new UnderWay(),
                new GuestReadiness(vms, api, world.clock()),
                METRICS,
                hook,
                _ -> {});
        publisher = new StorePublisher(
                api, api, host.name, "1", store, new ShutdownReports(store.directory()), _ -> news = true);
        SaveWishes wishes = new SaveWishes();
        snapshots = new SnapshotTask(node, wishes, publisher);
        restores = new RestoreTask(node);
        images = new ManagedImages(node);
        undoing = new LeftBehind(node, publisher);
        StoreNews first = world.has(SimulatedWorld.Guard.TOLD_BEFORE_THE_PAUSE) ? publisher : new LaterNews(publisher);
        // Each by a name of its own that is the same in each run of a seed.
        PodSaves saves = new PodSaves(node, wishes, first, pod -> pod + "-" + world.name("t"));
        terminations = new Terminations(node, saves, Optional.empty());
        try {
            for (ImageRecord record : store.list()) {
                LeftBehind.source(record).ifPresent(_ -> leftBehind.add(record.id()));
            }
        } catch (TorporException e) {
            forget();
            store.close();
            throw e;
        }
    }

    /** Tells what there is to tell some other time only. */
    private record LaterNews(StoreNews news) implements StoreNews {
        @Override
        public void publish() {
            news.soon();
        }

        @Override
        public void soon() {
            news.soon();
        }
    }

    private static ScheduledExecutorService never() {
        ClassLoader loader = SimulatedAgent.class.getClassLoader();
        Object future = Proxy.newProxyInstance(
                loader,
                new Class<?>[] {ScheduledFuture.class},
                (_, method, _) -> method.getReturnType() == boolean.class ? Boolean.TRUE : null);
        return (ScheduledExecutorService)
                Proxy.newProxyInstance(loader, new Class<?>[] {ScheduledExecutorService.class}, (_, _, _) -> future);
    }

    void look(VMSnapshot object) {
        var _ = snapshots.look(new WorkItem.Snapshot(
                object.getMetadata().getNamespace(), object.getMetadata().getName()));
    }

    void look(VMRestore object) {
        var _ = restores.look(new WorkItem.Restore(
                object.getMetadata().getNamespace(), object.getMetadata().getName()));
    }

    /** Returns what an earlier agent may not have been done with. */
    List<ImageId> leftBehind() {
        return List.copyOf(leftBehind);
    }

    void settle(ImageId image) {
        try {
            if (undoing.isSettled(SimulatedWorld.VM, image)) {
                leftBehind.remove(image);
            }
        } catch (TorporException e) {
            // It is looked at again.
        }
    }

    boolean hasNews() {
        return news;
    }

    void tell() {
        news = false;
        publisher.look();
    }

    void answer(String podUID, Terminations.Hook hook) throws TorporException {
        try {
            var _ = terminations.answer(
                    new WorkItem.Pod(SimulatedWorld.VM, podUID),
                    hook,
                    StartJournal.isRetired(node, SimulatedWorld.VM, podUID));
        } catch (IOException e) {
            throw new AssertionError("no file is asked", e);
        }
    }

    Cluster cluster() {
        return node.cluster();
    }

    ManagedImages images() {
        return images;
    }

    String storeID() {
        return node.store().storeID();
    }

    void update(UnaryOperator<VmRecord> change) throws TorporException {
        var _ = node.journal().update(SimulatedWorld.VM, change);
    }

    VmRecord journal(String podUID) throws TorporException {
        return StartJournal.read(node, SimulatedWorld.VM, podUID);
    }

    /** Ends its threads; what it has open is the disk's to close. */
    void forget() {
        snapshots.close();
        restores.close();
    }
}
