package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageRecord;
import dev.torpor.agent.launch.VmName;
import dev.torpor.agent.node.PodDirectories;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.failure.TorporException;
import dev.torpor.telemetry.log.LogScope;
import dev.torpor.telemetry.log.ObjectRef;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Hands what informers and the scan for asks see to the VMs' workers. Thread-safe; nothing here blocks. */
final class Agent implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Agent.class);
    private static final Duration END_POLL = Duration.ofMillis(100);

    private final SnapshotTask snapshots;
    private final RestoreTask restores;
    private final Starts starts;
    private final LeftBehind leftBehind;
    private final Optional<NodeShutdown> nodeShutdown;
    private final Workers workers;
    private final Node node;
    private final SaveWishes wishes;
    private final AtomicBoolean ending = new AtomicBoolean();
    /** VMs by the UID of their pods on this node. */
    private final Map<String, VmName> pods = new ConcurrentHashMap<>();
    /** VMs by namespace/name of the objects that speak of them, so that an object finds its worker by name only. */
    private final Map<WorkItem, VmName> vms = new ConcurrentHashMap<>();

    /** Pods that are being answered, so that a scan does not answer them again. */
    private final Set<WorkItem> asking = ConcurrentHashMap.newKeySet();

    /** @param shutdown how VMs are saved at a shutdown of the node; empty if nobody tells of one */
    Agent(
            Node node,
            PodDirectories directories,
            SaveWishes wishes,
            StoreNews news,
            Optional<NodeShutdown.Setup> shutdown) {
        this.node = node;
        this.wishes = wishes;
        snapshots = new SnapshotTask(node, wishes, news);
        restores = new RestoreTask(node);
        leftBehind = new LeftBehind(node, news);
        PodSaves podSaves = new PodSaves(node, wishes, news);
        workers = new Workers(this::look, node.timer());
        nodeShutdown = shutdown.map(
                setup -> new NodeShutdown(node, podSaves, setup, news, item -> workers.submit(item.vm(), item)));
        starts = new Starts(node, directories, new Terminations(node, podSaves, nodeShutdown), restores::refuse);
    }

    void snapshot(VMSnapshot object) {
        WorkItem item = new WorkItem.Snapshot(
                object.getMetadata().getNamespace(), object.getMetadata().getName());
        snapshots.seen(object);
        submit(new VmName(object.getMetadata().getNamespace(), object.getSpec().vmName()), item);
    }

    void restore(VMRestore object) {
        if (object.getStatus() == null || object.getStatus().getVmName() == null) {
            return;
        }
        VmName vm = new VmName(
                object.getMetadata().getNamespace(), object.getStatus().getVmName());
        submit(
                vm,
                new WorkItem.Restore(
                        object.getMetadata().getNamespace(),
                        object.getMetadata().getName()));
        // Its pod may be waiting for just this.
        pods.forEach((uid, its) -> {
            if (its.equals(vm) && starts.isAsking(uid)) {
                submit(vm, new WorkItem.Pod(vm, uid));
            }
        });
    }

    void gone(VMSnapshot object) {
        vms.remove(new WorkItem.Snapshot(
                object.getMetadata().getNamespace(), object.getMetadata().getName()));
    }

    /** Nobody else finishes what it had begun: its snapshot looks what is left to be done. */
    void gone(VMRestore object) {
        vms.remove(new WorkItem.Restore(
                object.getMetadata().getNamespace(), object.getMetadata().getName()));
        restores.gone(object.getMetadata().getUid());
        wake(new WorkItem.Snapshot(
                object.getMetadata().getNamespace(), object.getSpec().snapshotName()));
    }

    void pod(Pod pod) {
        String name = pod.getMetadata().getLabels().get(Torpor.VM_LABEL);
        if (name != null) {
            VmName vm = new VmName(pod.getMetadata().getNamespace(), name);
            pods.put(pod.getMetadata().getUid(), vm);
            node.readiness().seen(pod);
            nodeShutdown.ifPresent(shutdown -> shutdown.seen(vm, pod));
        }
    }

    void gone(Pod pod) {
        pods.remove(pod.getMetadata().getUid());
        node.readiness().gone(pod.getMetadata().getUid());
        nodeShutdown.ifPresent(shutdown -> shutdown.gone(pod.getMetadata().getUid()));
    }

    /** A pod that the journal remembers; what an informer says of it counts more. */
    void remembered(String podUID, VmName vm) {
        pods.putIfAbsent(podUID, vm);
    }

    /** Has the saves undone that an earlier agent left unfinished. */
    void undoUnfinished() throws TorporException {
        for (ImageRecord record : node.store().list()) {
            VmName vm = new VmName(record.id().namespace(), record.id().vm());
            LeftBehind.source(record)
                    .ifPresent(process ->
                            workers.submit(vm, new WorkItem.UnfinishedSave(vm, process.podUID(), record.id())));
        }
    }

    /** An image's pages were looked at: its object says what was found. */
    void scanned(ImageId image) {
        snapshots.wake(image);
    }

    /** Tells whether an image is to be looked at again from time to time. */
    boolean wantsScrub(ImageId image) {
        return snapshots.wantsScrub(image);
    }

    /** Looks for launchers that ask, and for guests that are to be looked at. */
    void scan() {
        if (ending.get()) {
            return;
        }
        pods.forEach((uid, vm) -> {
            if (starts.isAsking(uid)) {
                WorkItem.Pod item = new WorkItem.Pod(vm, uid);
                if (workers.isBusy(vm)) {
                    starts.heed(item); // a hook does not wait for a save or a load unless it hears of it
                }
                if (asking.add(item)) {
                    workers.submit(vm, item);
                }
            }
        });
        for (String uid : node.readiness().due()) {
            VmName vm = pods.get(uid);
            if (vm != null) {
                workers.submit(vm, new WorkItem.Guest(vm, uid));
            }
        }
        nodeShutdown.ifPresent(shutdown -> shutdown.due().forEach(item -> workers.submit(item.vm(), item)));
    }

    /** Returns who saves VMs at a shutdown of the node, if anybody does. */
    Optional<NodeShutdown> nodeShutdown() {
        return nodeShutdown;
    }

    /** Has an object looked at again. */
    void wake(WorkItem item) {
        VmName vm = vms.get(item);
        if (vm != null) {
            workers.submit(vm, item);
        }
    }

    private void submit(VmName vm, WorkItem item) {
        vms.put(item, vm);
        workers.submit(vm, item);
    }

    /**
     * Begins nothing more, and brings what is under way to an end: saves are finished if they will be in time, else hurried,
     * else undone; loads are waited for. On return nothing is under way, or the time is over and the next agent takes it up.
     */
    void end(Duration grace) throws InterruptedException {
        ending.set(true);
        long end = System.nanoTime() + grace.toNanos();
        node.underWay().end();
        workers.end(node.underWay()::contains);
        while (!workers.awaitIdle(END_POLL)) {
            Duration left = Duration.ofNanos(end - System.nanoTime());
            if (left.isNegative()) {
                LOG.warn(
                        "work is still under way after the {} s of grace: it is left to the next agent, which finishes or"
                                + " undoes it; until then a guest that is being saved stays paused",
                        grace.toSeconds());
                return;
            }
            wishes.ending(left, grace);
        }
        LOG.info("nothing is under way any more");
    }

    boolean ending() {
        return ending.get();
    }

    Optional<String> brokenWorker() {
        return workers.broken();
    }

    int savesInProgress() {
        return wishes.count();
    }

    int savesQueued() {
        return snapshots.queued();
    }

    int workQueued() {
        return workers.queued();
    }

    private Next look(VmName vm, WorkItem item, int attempt) {
        try (LogScope _ = LogScope.of(reference(vm, item), attempt)) {
            Next next = look(vm, item);
            if (next instanceof Next.OnChange) {
                node.underWay().atRest(item);
            }
            return next;
        }
    }

    private static ObjectRef reference(VmName vm, WorkItem item) {
        return switch (item) {
            case WorkItem.Snapshot(String namespace, String name) ->
                new ObjectRef("VMSnapshot", namespace, name, Optional.empty());
            case WorkItem.Restore(String namespace, String name) ->
                new ObjectRef("VMRestore", namespace, name, Optional.empty());
            case WorkItem.Pod pod -> vm(vm, pod.podUID());
            case WorkItem.UnfinishedSave save -> vm(vm, save.podUID());
            case WorkItem.Guest guest -> vm(vm, guest.podUID());
            case WorkItem.NodeEnd end -> vm(vm, end.podUID());
            case WorkItem.Measure measure -> vm(vm, measure.podUID());
        };
    }

    private static ObjectRef vm(VmName vm, String podUID) {
        return new ObjectRef("VM", vm.namespace(), vm.name(), Optional.of(podUID));
    }

    private Next look(VmName vm, WorkItem item) {
        try {
            return switch (item) {
                case WorkItem.Snapshot snapshot -> snapshots.look(snapshot);
                case WorkItem.Restore restore -> restores.look(restore);
                case WorkItem.Pod pod -> {
                    Next next = starts.look(pod);
                    if (next instanceof Next.OnChange) {
                        asking.remove(pod);
                    }
                    yield next;
                }
                case WorkItem.UnfinishedSave save ->
                    leftBehind.isSettled(save.vm(), save.image()) ? Next.onChange() : Next.backOff();
                case WorkItem.Guest guest -> node.readiness().look(guest.podUID());
                case WorkItem.NodeEnd end -> nodeShutdown.orElseThrow().look(end);
                case WorkItem.Measure measure -> nodeShutdown.orElseThrow().measure(measure);
            };
        } catch (TorporException e) {
            LOG.warn("{} of VM {}: {}: {}", item, vm, e.reason(), e.getMessage());
            return Next.backOff();
        } catch (KubernetesClientException e) {
            LOG.warn("{} of VM {}: the API server answered: {}", item, vm, e.getMessage());
            LOG.debug("{}", item, e);
            return Next.backOff();
        }
    }

    @Override
    public void close() {
        workers.close();
        snapshots.close();
        restores.close();
    }
}
