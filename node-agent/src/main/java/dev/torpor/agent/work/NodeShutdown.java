package dev.torpor.agent.work;

import dev.torpor.agent.image.Compression;
import dev.torpor.agent.launch.VmName;
import dev.torpor.agent.logind.ShutdownListener;
import dev.torpor.api.v1alpha1.NodeShutdownStatus;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import dev.torpor.telemetry.log.LogScope;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Saves this node's VMs when the machine is shut down without a drain, in the time that logind gives: the most important
 * first ({@link NodeShutdownPlan}), a few at a time, each by its VM's worker. What was left out is kept and told
 * ({@link ShutdownReports}). Thread-safe.
 */
final class NodeShutdown implements ShutdownListener {
    private static final Logger LOG = LoggerFactory.getLogger(NodeShutdown.class);
    private static final double MILLIS_PER_SECOND = 1000;
    private static final Duration LOOK = Duration.ofMillis(250);
    private static final Duration TURN_POLL = Duration.ofMillis(100);
    private static final Duration KEEP_INTERVAL = Duration.ofSeconds(10);
    private static final String CAUSE = "its node is being shut down";
    private static final String TOO_SHORT =
            "not done in the time that logind gave: raise InhibitDelayMaxSec in logind.conf, or drain before a shutdown";

    private static final String POLICY_SAYS_NEVER = "its policy (" + Torpor.ON_TERMINATION_ANNOTATION + ") says Never";

    private final Node node;
    private final PodSaves saves;
    private final ShutdownReports reports;
    private final SaveRate rate;
    private final int atOnceMax;
    private final StoreNews news;
    private final Consumer<WorkItem.NodeEnd> submit;
    private final NodeVms vms;
    private Supplier<Optional<List<Pod>>> listed = Optional::empty;
    private Optional<ShutdownRun> run = Optional.empty();
    /** One that began while the last, which was cancelled, is still being undone. */
    private Optional<ShutdownRun> following = Optional.empty();

    private Optional<Future<?>> ticks = Optional.empty();
    /** What logind has begun and not given up, also when our part of it is done. */
    private Optional<TerminationDecision.NodeDown> down = Optional.empty();

    /** @param submit has the worker of a VM look at it */
    NodeShutdown(Node node, PodSaves saves, Setup setup, StoreNews news, Consumer<WorkItem.NodeEnd> submit) {
        this.node = node;
        this.saves = saves;
        this.reports = setup.reports();
        this.rate = setup.rate();
        this.atOnceMax = setup.savesAtOnceMax();
        this.news = news;
        this.submit = submit;
        this.vms = new NodeVms(node.vms());
    }

    /**
     * What is given from outside.
     *
     * @param reports what became of the VMs at the last shutdown
     * @param rate how fast VMs are saved
     * @param savesAtOnceMax how many at a time
     */
    record Setup(ShutdownReports reports, SaveRate rate, int savesAtOnceMax) {}

    /** A VM's pod of this node, as an informer saw it. */
    void seen(VmName vm, Pod pod) {
        vms.seen(vm, pod);
    }

    void gone(String podUID) {
        vms.gone(podUID);
    }

    /**
     * Begins.
     *
     * @param podsOfNode the VM pods of this node; empty while they are not known: then a shutdown waits for them
     */
    void start(Supplier<Optional<List<Pod>>> podsOfNode) {
        synchronized (this) {
            listed = podsOfNode;
        }
        var _ = node.timer()
                .scheduleWithFixedDelay(
                        rate::keep, KEEP_INTERVAL.toMillis(), KEEP_INTERVAL.toMillis(), TimeUnit.MILLISECONDS);
    }

    /** Returns the pods whose QEMU is to be asked for its memory now. */
    List<WorkItem.Measure> due() {
        return vms.due();
    }

    Next measure(WorkItem.Measure item) {
        return vms.measure(item.podUID());
    }

    /** Returns the seconds that saving all VMs would take now; NaN if that cannot be told. */
    double neededSeconds() {
        List<NodeVm> all = vms.wanted();
        OptionalLong bytesPerSecond = bytesPerSecond();
        boolean known = bytesPerSecond.isPresent()
                && all.stream().allMatch(vm -> vm.memoryBytes().isPresent());
        if (!known && !all.isEmpty()) {
            return Double.NaN;
        }
        return all.stream()
                        .map(vm -> NodeShutdownPlan.takes(vm, bytesPerSecond))
                        .reduce(Duration.ZERO, Duration::plus)
                        .toMillis()
                / MILLIS_PER_SECOND;
    }

    /** Tells of a shutdown of this node that logind has begun and not given up. */
    synchronized Optional<TerminationDecision.NodeDown> goingDown() {
        return down;
    }

    /**
     * Tells whether a pod's VM has its turn in a shutdown of this node, or will have it.
     *
     * @param until when that must be over, as the pod may be ended before the node is
     */
    synchronized boolean isToSave(String podUID, Instant until) {
        return run.filter(its -> its.isToSave(podUID) && !until.isBefore(its.until()))
                .isPresent();
    }

    /** As fast as the last save that was not compressed, but no faster than QEMU compresses if it is to. */
    private OptionalLong bytesPerSecond() {
        OptionalLong measured = rate.bytesPerSecond();
        Compression.Method method = saves.options().compression().method();
        return measured.isEmpty() || method == Compression.Method.NONE
                ? measured
                : OptionalLong.of(Math.min(measured.getAsLong(), PauseBudget.expectedBytesPerSecond(method)));
    }

    @Override
    public void begins(Duration wait, Runnable done) {
        synchronized (this) {
            Instant now = node.clock().instant();
            // Without a lock it does not wait for us, but perhaps for the kubelet.
            down = Optional.of(
                    new TerminationDecision.NodeDown(wait.isZero() ? Optional.empty() : Optional.of(now.plus(wait))));
            ShutdownRun its = new ShutdownRun(now, wait, done);
            if (run.isPresent()) {
                LOG.warn("another shutdown of this node begins before the last has ended");
                following = Optional.of(its);
                return;
            }
            run = Optional.of(its);
            ticks = Optional.of(node.timer()
                    .scheduleWithFixedDelay(
                            LogScope.carry(this::step), LOOK.toMillis(), LOOK.toMillis(), TimeUnit.MILLISECONDS));
        }
        step();
    }

    @Override
    public void cancelled() {
        synchronized (this) {
            down = Optional.empty();
            if (run.isEmpty()) {
                return;
            }
            following = Optional.empty();
            run.get().cancel();
            run.get().begun().forEach(saves::cancel); // not what a pod's own end has saved
        }
        step();
    }

    /** Begins what may begin now; ends the run when nothing is left to do. Called again until then. */
    private void step() {
        Optional<ShutdownRun> ended = Optional.empty();
        synchronized (this) {
            if (run.isEmpty()) {
                return;
            }
            ShutdownRun its = run.get();
            if (!its.hasVms()) {
                listed.get().ifPresent(pods -> takeVms(its, pods));
            }
            its.choose(bytesPerSecond(), atOnceMax, node.clock().instant()).forEach(vm -> submit.accept(vm.item()));
            if (its.isOver(node.clock().instant())) {
                ended = run;
                run = following;
                following = Optional.empty();
                if (run.isEmpty()) {
                    ticks.ifPresent(tick -> tick.cancel(false));
                }
            }
        }
        ended.ifPresent(this::end);
    }

    private void takeVms(ShutdownRun its, List<Pod> pods) {
        for (Pod pod : pods) {
            String name = pod.getMetadata().getLabels().get(Torpor.VM_LABEL);
            if (name != null) {
                vms.seen(new VmName(pod.getMetadata().getNamespace(), name), pod);
            }
        }
        its.take(vms.wanted());
        vms.unwanted().forEach(vm -> its.leaveOut(vm, ShutdownRun.NOT_WANTED, POLICY_SAYS_NEVER));
    }

    private void end(ShutdownRun its) {
        NodeShutdownStatus report = its.report();
        // An agent that starts when all is over knows of no VMs, and would put that in the place of what the one before
        // it kept.
        if (its.hasVms()) {
            reports.keep(report);
            news.soon();
        }
        LOG.info(
                "shutdown of this node: {} VMs were saved, {} were not{}",
                report.savedVMs(),
                report.unsaved().size(),
                its.cancelled() ? "; it was cancelled" : "");
        synchronized (this) {
            // Another shutdown may have begun meanwhile, for which the machine is to wait longer.
            if (run.isEmpty()) {
                its.done().run();
            }
        }
    }

    /** Saves a VM, if that still is to be. */
    Next look(WorkItem.NodeEnd item) throws TorporException {
        WorkItem.Pod pod = new WorkItem.Pod(item.vm(), item.podUID());
        Optional<ShutdownRun> its;
        synchronized (this) {
            its = run.filter(now -> now.active().contains(item.podUID()));
        }
        if (its.isEmpty()) {
            return saves.undone(pod) ? Next.onChange() : Next.backOff();
        }
        Next next = look(its.get(), item, pod);
        if (next instanceof Next.OnChange) {
            step();
        }
        return next;
    }

    private Next look(ShutdownRun its, WorkItem.NodeEnd item, WorkItem.Pod pod) throws TorporException {
        String uid = item.podUID();
        if (!saves.undone(pod)) {
            return Next.backOff();
        }
        if (node.journal().read(item.vm()).retiredPods().contains(uid)) {
            return its.saved(uid);
        }
        if (node.vms().isAsking(uid)) {
            return its.notThere(uid); // no QEMU runs: nothing can be lost
        }
        Optional<Next> refused = refused(its, item);
        if (refused.isPresent()) {
            return refused.get();
        }
        its.measured(uid, vms.memoryBytes(uid));
        if (!its.fits(uid, bytesPerSecond(), node.clock().instant())) {
            return its.noTime(uid, bytesPerSecond());
        }
        if (!node.saves().take(uid)) {
            return Next.after(TURN_POLL);
        }
        try {
            its.begun(uid);
            AtomicBoolean mayPass = new AtomicBoolean();
            PodSaves.Result result = saves.save(item, pod, new PodSaves.Why(CAUSE, TOO_SHORT), its.until(), why -> {
                if (why.reason() == FailureReason.NotEnoughSpace && saves.mayPass(why)) {
                    mayPass.set(true);
                } else {
                    its.failed(uid, why.reason().name(), String.valueOf(why.getMessage()));
                }
            });
            return switch (result) {
                case SAVED -> its.saved(uid);
                case FAILED -> mayPass.get() ? Next.after(TURN_POLL) : Next.onChange();
                case LATER -> Next.backOff();
            };
        } finally {
            node.saves().giveBack(uid);
        }
    }

    /** Asks the API server whether the VM may be saved: what cannot be told there must not be, and a pod may be gone. */
    private Optional<Next> refused(ShutdownRun its, WorkItem.NodeEnd item) {
        String uid = item.podUID();
        if (its.cancelled()) {
            return Optional.of(its.failed(uid, FailureReason.Cancelled.name(), ShutdownRun.CANCELLED_BEFORE));
        }
        Optional<TerminationDecision.PodEnd> pod;
        try {
            pod = node.cluster().podEnd(item.vm(), uid);
        } catch (KubernetesClientException e) {
            return Optional.of(its.failed(
                    uid,
                    FailureReason.StoreUnavailable.name(),
                    "the API server cannot be told of the image: " + e.getMessage()));
        }
        if (pod.isEmpty()) {
            return Optional.of(its.notThere(uid));
        }
        boolean deleted = pod.get().killAt().isPresent() && !pod.get().disrupted();
        return switch (pod.get().policy()) {
            case ManagedSave -> Optional.empty();
            case OnDisruption ->
                deleted
                        ? Optional.of(its.failed(uid, ShutdownRun.NOT_WANTED, "its pod was deleted before"))
                        : Optional.empty();
            case Never -> Optional.of(its.failed(uid, ShutdownRun.NOT_WANTED, POLICY_SAYS_NEVER));
        };
    }
}
