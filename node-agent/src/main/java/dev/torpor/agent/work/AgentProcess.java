package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.launch.VmJournal;
import dev.torpor.agent.logind.ShutdownInhibitor;
import dev.torpor.agent.metrics.AgentMetrics;
import dev.torpor.agent.node.PodDirectories;
import dev.torpor.agent.node.PodVolumes;
import dev.torpor.api.status.ApplyStatusWriter;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotClass;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import dev.torpor.telemetry.http.Health;
import dev.torpor.telemetry.http.HttpEndpoint;
import dev.torpor.telemetry.log.Logging;
import dev.torpor.telemetry.metrics.Registries;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.ConfigBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import io.fabric8.kubernetes.client.informers.ResourceEventHandler;
import io.fabric8.kubernetes.client.informers.SharedIndexInformer;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.io.IOException;
import java.time.Clock;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The agent as a process: everything is put together here, and taken apart when it is told to end. */
public final class AgentProcess {
    private static final Logger LOG = LoggerFactory.getLogger(AgentProcess.class);
    // A guest that waits to start waits this much longer; a look costs some ten system calls for each VM pod.
    private static final long SCAN_MILLIS = 200;
    // Progress, deadlines, the lease and the looks at the disk share these; each of their tasks is one request at most.
    private static final int TIMER_THREADS = 5;
    // Launchers and VMs wait while a request hangs; everything is tried again anyway.
    private static final int REQUEST_TIMEOUT_MILLIS = 5_000;
    private static final int REQUEST_RETRIES = 2;

    // What is interrupted at the end of the grace period lets go, and the store is closed.
    private static final Duration END_MARGIN = Duration.ofSeconds(10);

    private AgentProcess() {}

    /**
     * Runs until the process is told to end (SIGTERM), and then until what is under way is done or undone, for no longer
     * than the grace period: the next agent takes up what is left.
     *
     * @throws TorporException StoreFailed if the store cannot be opened or belongs to another process
     */
    public static void run(AgentConfig config) throws TorporException, InterruptedException {
        run(config, StepHook.NONE);
    }

    /** The same with a hook at each step, for tests. */
    public static void run(AgentConfig config, StepHook hook) throws TorporException, InterruptedException {
        Logging.apply(config.logs());
        LOG.info("starting with {}", config);
        CountDownLatch told = new CountDownLatch(1);
        CountDownLatch ended = new CountDownLatch(1);
        Runtime.getRuntime()
                .addShutdownHook(new Thread(
                        () -> {
                            told.countDown();
                            try {
                                if (!ended.await(config.grace().plus(END_MARGIN).toSeconds(), TimeUnit.SECONDS)) {
                                    LOG.warn("the agent did not end in time");
                                }
                            } catch (InterruptedException e) {
                                Thread.currentThread().interrupt();
                            }
                        },
                        "shutdown"));
        try {
            Optional<ImageStore> opened = store(config, told);
            if (opened.isPresent()) {
                try (ImageStore store = opened.get();
                        KubernetesClient client = client()) {
                    serve(config, hook, store, client, told);
                }
            }
        } finally {
            ended.countDown();
        }
    }

    /** Opens the store; empty if the process is told to end while it is waited for. */
    private static Optional<ImageStore> store(AgentConfig config, CountDownLatch told)
            throws TorporException, InterruptedException {
        if (!config.existingStore()) {
            return Optional.of(ImageStore.open(config.store()));
        }
        Optional<ImageStore> there = ImageStore.openExisting(config.store());
        if (there.isPresent()) {
            return there;
        }
        StoreWait wait = new StoreWait(config.store());
        try (HttpEndpoint _ = endpoint(
                config, new Health(), new Health().with("store", wait::problem), Registries.create()::scrape)) {
            return wait.await(told);
        }
    }

    private static KubernetesClient client() {
        Config config = new ConfigBuilder(Config.autoConfigure(null))
                .withRequestTimeout(REQUEST_TIMEOUT_MILLIS)
                .withConnectionTimeout(REQUEST_TIMEOUT_MILLIS)
                .withRequestRetryBackoffLimit(REQUEST_RETRIES)
                .build();
        return new KubernetesClientBuilder().withConfig(config).build();
    }

    private static void serve(
            AgentConfig config, StepHook hook, ImageStore store, KubernetesClient client, CountDownLatch told)
            throws TorporException, InterruptedException {
        Clock clock = Clock.systemUTC();
        PodDirectories pods = new PodDirectories(config.kubeletRoot());
        PodVolumes volumes = new PodVolumes(pods);
        Map<String, PauseBudget> budgets = new ConcurrentHashMap<>();
        VmJournal journal = new VmJournal(store.directory());
        ApiCluster cluster = new ApiCluster(client, config.node());
        ScheduledThreadPoolExecutor timer = new ScheduledThreadPoolExecutor(TIMER_THREADS, r -> new Thread(r, "timer"));
        timer.setRemoveOnCancelPolicy(true); // what is cancelled is often of a time far ahead
        PrometheusMeterRegistry registry = Registries.create();
        AgentMetrics metrics = new AgentMetrics(registry);
        AtomicReference<Consumer<WorkItem>> wake = new AtomicReference<>(item -> {});
        QemuVm.OfNode vms = new QemuVm.OfNode(pods, volumes, budgets);
        Node node = new Node(
                store,
                journal,
                vms,
                cluster,
                new ApplyStatusWriter(client),
                clock,
                timer,
                new SaveTurns(config.savesAtOnceMax()),
                new UnderWay(),
                new GuestReadiness(vms, cluster, clock),
                metrics,
                hook,
                item -> wake.get().accept(item));
        StoreLease lease = new StoreLease(client, config, store.storeID(), clock, metrics::leaseNotRenewed);
        StoreWatch watch = new StoreWatch(store);
        AgentHealth health = new AgentHealth();
        ShutdownReports shutdowns = new ShutdownReports(store.directory());
        StorePublisher publisher = new StorePublisher(
                StorePublisher.api(client, config.node()),
                node.status(),
                config.node(),
                config.version(),
                store,
                shutdowns,
                timer);
        Optional<NodeShutdown.Setup> shutdown = config.systemBus()
                .map(_ -> new NodeShutdown.Setup(
                        shutdowns, new SaveRate(store.directory(), metrics::lastSaveRate), config.savesAtOnceMax()));
        try (Agent agent = new Agent(node, pods, new SaveWishes(), publisher, shutdown);
                ShutdownInhibitor inhibitor = inhibitor(config, agent);
                Scrub scrub = new Scrub(
                        store,
                        metrics,
                        clock,
                        config.scrub(),
                        node.underWay()::transferring,
                        agent::wantsScrub,
                        agent::scanned);
                HttpEndpoint _ =
                        endpoint(config, health.live(agent), health.ready(agent, watch, lease), registry::scrape)) {
            AgentGauges.register(metrics, agent, watch, lease, Optional.ofNullable(inhibitor));
            wake.set(agent::wake);
            journal.podsOfLastRuns().forEach(agent::remembered);
            agent.undoUnfinished();
            scrub.start();
            var _ = timer.scheduleWithFixedDelay(
                    guarded("node store", publisher::look),
                    0,
                    StorePublisher.INTERVAL.toMillis(),
                    TimeUnit.MILLISECONDS);
            var _ = timer.scheduleWithFixedDelay(
                    guarded("lease", lease::renew), 0, StoreLease.RENEW.toMillis(), TimeUnit.MILLISECONDS);
            var _ = timer.scheduleWithFixedDelay(
                    guarded("scan", () -> {
                        agent.scan();
                        health.scanned();
                    }),
                    SCAN_MILLIS,
                    SCAN_MILLIS,
                    TimeUnit.MILLISECONDS);
            var _ = timer.scheduleWithFixedDelay(
                    guarded("store", watch::look), 0, StoreWatch.INTERVAL.toMillis(), TimeUnit.MILLISECONDS);
            SharedIndexInformer<Pod> ofPods = pods(config, client, agent, volumes, budgets);
            List<SharedIndexInformer<?>> informers = informers(config, client, agent, cluster, ofPods);
            health.watching(informers);
            SharedIndexInformer<VMSnapshotClass> classes = classes(client, cluster);
            agent.nodeShutdown()
                    .ifPresent(saver -> saver.start(() ->
                            ofPods.hasSynced() ? Optional.of(ofPods.getStore().list()) : Optional.empty()));
            if (inhibitor != null) {
                inhibitor.start();
            }
            LOG.info("agent of node {} with store {} serves", config.node(), store.storeID());
            told.await();
            LOG.info("told to end: nothing is begun any more");
            agent.end(config.grace());
            informers.forEach(SharedIndexInformer::stop);
            classes.stop();
        } finally {
            timer.shutdownNow();
        }
    }

    // The library for D-Bus is not even loaded where nobody wants it.
    private static @Nullable ShutdownInhibitor inhibitor(AgentConfig config, Agent agent) {
        return config.systemBus()
                .map(bus -> new ShutdownInhibitor(bus, agent.nodeShutdown().orElseThrow()))
                .orElse(null);
    }

    private static @Nullable HttpEndpoint endpoint(
            AgentConfig config, Health live, Health ready, Supplier<String> metrics) throws TorporException {
        if (config.httpPort() == 0) {
            return null;
        }
        try {
            return HttpEndpoint.start(config.httpPort(), live, ready, metrics);
        } catch (IOException e) {
            throw new TorporException(FailureReason.Internal, String.valueOf(e.getMessage()), e);
        }
    }

    private static SharedIndexInformer<Pod> pods(
            AgentConfig config,
            KubernetesClient client,
            Agent agent,
            PodVolumes volumes,
            Map<String, PauseBudget> budgets) {
        SharedIndexInformer<Pod> pods = client.pods()
                .inAnyNamespace()
                .withLabel(Torpor.VM_LABEL)
                .withField("spec.nodeName", config.node())
                .runnableInformer(0);
        pods.addEventHandler(handler(
                pod -> {
                    volumes.seen(pod);
                    PauseBudget.of(pod)
                            .ifPresent(budget -> budgets.put(pod.getMetadata().getUid(), budget));
                    agent.pod(pod);
                },
                pod -> {
                    volumes.gone(pod.getMetadata().getUid());
                    budgets.remove(pod.getMetadata().getUid());
                    agent.gone(pod);
                }));
        return pods;
    }

    private static List<SharedIndexInformer<?>> informers(
            AgentConfig config,
            KubernetesClient client,
            Agent agent,
            ApiCluster cluster,
            SharedIndexInformer<Pod> pods) {
        SharedIndexInformer<VMSnapshot> snapshots = client.resources(VMSnapshot.class)
                .inAnyNamespace()
                .withField("status.nodeName", config.node())
                .runnableInformer(0);
        snapshots.addEventHandler(handler(
                object -> {
                    cluster.seen(object);
                    agent.snapshot(object);
                },
                object -> {
                    cluster.gone(object);
                    agent.gone(object);
                }));
        SharedIndexInformer<VMRestore> restores = client.resources(VMRestore.class)
                .inAnyNamespace()
                .withField("status.nodeName", config.node())
                .runnableInformer(0);
        restores.addEventHandler(handler(agent::restore, agent::gone));
        List<SharedIndexInformer<?>> all = List.of(pods, snapshots, restores);
        all.forEach(AgentProcess::start);
        return all;
    }

    /** What they say is wished for only: an agent that may not, or cannot, see them is as good. */
    private static SharedIndexInformer<VMSnapshotClass> classes(KubernetesClient client, ApiCluster cluster) {
        SharedIndexInformer<VMSnapshotClass> classes =
                client.resources(VMSnapshotClass.class).runnableInformer(0);
        classes.addEventHandler(handler(cluster::seen, cluster::gone));
        start(classes);
        return classes;
    }

    private static void start(SharedIndexInformer<?> informer) {
        // An API server that is away at our start, or a definition that is not there yet, is waited for.
        informer.exceptionHandler((started, e) -> {
            LOG.warn("watching {}: {}", informer.getApiTypeClass().getSimpleName(), e.getMessage());
            return true;
        });
        var _ = informer.start();
    }

    private static <T> ResourceEventHandler<T> handler(Consumer<T> seen, Consumer<T> gone) {
        return new ResourceEventHandler<>() {
            @Override
            public void onAdd(T object) {
                seen.accept(object);
            }

            @Override
            public void onUpdate(T before, T now) {
                seen.accept(now);
            }

            @Override
            public void onDelete(T object, boolean unknown) {
                gone.accept(object);
            }
        };
    }

    // A task of a timer that throws is never run again.
    private static Runnable guarded(String name, Runnable task) {
        return () -> {
            try {
                task.run();
            } catch (RuntimeException e) {
                LOG.error("{}", name, e);
            }
        };
    }
}
