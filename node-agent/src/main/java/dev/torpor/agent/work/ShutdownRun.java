package dev.torpor.agent.work;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.NodeShutdownStatus;
import dev.torpor.api.v1alpha1.UnsavedVM;
import dev.torpor.failure.FailureReason;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** One shutdown of the node: which VMs are left to be saved, are being saved, and were or were not. Thread-safe. */
final class ShutdownRun {
    /** Reason of VMs that nobody wants saved. */
    static final String NOT_WANTED = "NotWanted";

    /** What is said of VMs that were not begun when the shutdown was given up. */
    static final String CANCELLED_BEFORE = "the shutdown was cancelled before";

    private static final Logger LOG = LoggerFactory.getLogger(ShutdownRun.class);
    /** Left of logind's time for undoing what is not done, for the report, and for the lock's release. */
    private static final Duration MARGIN_MIN = Duration.ofMillis(500);

    private static final Duration MARGIN_MAX = Duration.ofSeconds(3);
    private static final int MARGIN_PART = 10;
    // A VM whose worker is busy with something else holds up no others.
    private static final Duration BEGIN_PATIENCE = Duration.ofSeconds(1);
    private static final int REPORTED_MAX = 100;
    private static final double MILLIS_PER_SECOND = 1000;

    private final Instant beganAt;
    private final Duration wait;
    private final Instant until;
    private final Runnable done;
    private final List<NodeVm> todo = new ArrayList<>();
    private boolean vmsKnown;
    private final Map<String, Active> active = new HashMap<>();
    private final Set<String> ended = new HashSet<>();
    private final List<UnsavedVM> notSaved = new ArrayList<>();
    private int saved;
    private boolean cancelled;

    /** A VM that a worker looks at, or is to look at. */
    private record Active(NodeVm vm, Instant since, boolean begun) {}

    /**
     * Begins.
     *
     * @param wait how long logind waits
     * @param done to be run at the end
     */
    ShutdownRun(Instant beganAt, Duration wait, Runnable done) {
        this.beganAt = beganAt;
        this.wait = wait;
        this.until = beganAt.plus(wait).minus(margin(wait));
        this.done = done;
    }

    /** Takes the VMs that are to be saved. */
    synchronized void take(List<NodeVm> vms) {
        vmsKnown = true;
        todo.addAll(vms);
        if (cancelled) {
            leaveOutAll(FailureReason.Cancelled.name(), CANCELLED_BEFORE);
        }
    }

    /** Tells whether it has taken VMs. */
    synchronized boolean hasVms() {
        return vmsKnown;
    }

    private static Duration margin(Duration wait) {
        Duration part = wait.dividedBy(MARGIN_PART);
        if (part.compareTo(MARGIN_MIN) < 0) {
            return MARGIN_MIN;
        }
        return part.compareTo(MARGIN_MAX) < 0 ? part : MARGIN_MAX;
    }

    /** Returns when saves are given up. */
    Instant until() {
        return until;
    }

    Runnable done() {
        return done;
    }

    /** Returns the pods of the VMs that workers look at, or are to. */
    synchronized Set<String> active() {
        return Set.copyOf(active.keySet());
    }

    /** Returns the pods of the VMs whose saves it has begun. */
    synchronized Set<String> begun() {
        return active.values().stream()
                .filter(Active::begun)
                .map(its -> its.vm().podUID())
                .collect(Collectors.toUnmodifiableSet());
    }

    /** Tells whether a pod's VM is still to be saved, or is being saved. */
    synchronized boolean isToSave(String podUID) {
        return active.containsKey(podUID)
                || todo.stream().anyMatch(vm -> vm.podUID().equals(podUID));
    }

    /** Takes those that are to be begun now. What does not fit when nothing else is under way is left out for good. */
    synchronized List<NodeVm> choose(OptionalLong bytesPerSecond, int atOnceMax, Instant now) {
        List<NodeVm> chosen = new ArrayList<>();
        while (!cancelled && !todo.isEmpty() && slotsTaken(now) < atOnceMax) {
            Duration left = Duration.between(now, until).minus(busy(bytesPerSecond, now));
            NodeShutdownPlan plan = NodeShutdownPlan.of(todo, bytesPerSecond, left);
            if (plan.saves().isEmpty()) {
                break;
            }
            NodeVm first = plan.saves().getFirst();
            todo.remove(first);
            active.put(first.podUID(), new Active(first, now, false));
            chosen.add(first);
        }
        if (active.isEmpty()) {
            for (NodeVm vm : todo.stream().sorted(NodeVm.ORDER).toList()) {
                leaveOut(vm, FailureReason.DeadlineExceeded.name(), noTimeFor(vm, bytesPerSecond));
            }
            todo.clear();
        }
        return chosen;
    }

    private long slotsTaken(Instant now) {
        return active.values().stream()
                .filter(its -> its.begun() || now.isBefore(its.since().plus(BEGIN_PATIENCE)))
                .count();
    }

    private Duration busy(OptionalLong bytesPerSecond, Instant now) {
        Duration sum = Duration.ZERO;
        for (Active its : active.values()) {
            Duration rest = NodeShutdownPlan.takes(its.vm(), bytesPerSecond).minus(Duration.between(its.since(), now));
            sum = rest.isNegative() ? sum : sum.plus(rest);
        }
        return sum;
    }

    /** Tells whether a VM that is to be begun can still be done in time. */
    synchronized boolean fits(String podUID, OptionalLong bytesPerSecond, Instant now) {
        Active its = active.get(podUID);
        return its != null
                && NodeShutdownPlan.takes(its.vm(), bytesPerSecond).compareTo(Duration.between(now, until)) <= 0;
    }

    /** Takes note of how much memory a VM has that is to be begun. */
    synchronized void measured(String podUID, OptionalLong memoryBytes) {
        active.computeIfPresent(podUID, (_, its) -> {
            NodeVm vm = its.vm();
            return new Active(new NodeVm(vm.vm(), vm.podUID(), vm.priority(), memoryBytes), its.since(), its.begun());
        });
    }

    /** Its save begins. */
    synchronized void begun(String podUID) {
        active.computeIfPresent(podUID, (_, its) -> new Active(its.vm(), its.since(), true));
    }

    /** It is saved. */
    synchronized Next saved(String podUID) {
        if (active.remove(podUID) != null && ended.add(podUID)) {
            saved++;
        }
        return Next.onChange();
    }

    /** It does not run here. */
    synchronized Next notThere(String podUID) {
        active.remove(podUID);
        return Next.onChange();
    }

    /** It is not saved, as that would not be done in time. */
    synchronized Next noTime(String podUID, OptionalLong bytesPerSecond) {
        Active its = active.get(podUID);
        return its == null
                ? Next.onChange()
                : failed(podUID, FailureReason.DeadlineExceeded.name(), noTimeFor(its.vm(), bytesPerSecond));
    }

    /** It is not saved. */
    synchronized Next failed(String podUID, String reason, String message) {
        Active its = active.remove(podUID);
        if (its != null) {
            leaveOut(its.vm(), reason, message);
        }
        return Next.onChange();
    }

    /** Takes note of a VM that is not saved. */
    synchronized void leaveOut(NodeVm vm, String reason, String message) {
        if (!ended.add(vm.podUID())) {
            return;
        }
        LOG.warn("VM {}: it is not saved before this node goes down: {}: {}", vm.vm(), reason, message);
        notSaved.add(new UnsavedVM(vm.vm().namespace(), vm.vm().name(), vm.podUID(), reason, message));
    }

    /** The machine is not shut down after all: nothing more is begun. */
    synchronized void cancel() {
        cancelled = true;
        leaveOutAll(FailureReason.Cancelled.name(), CANCELLED_BEFORE);
    }

    private void leaveOutAll(String reason, String message) {
        todo.stream().sorted(NodeVm.ORDER).forEach(vm -> leaveOut(vm, reason, message));
        todo.clear();
    }

    synchronized boolean cancelled() {
        return cancelled;
    }

    /** Tells whether nothing is left to do, or logind does not wait any longer. */
    synchronized boolean isOver(Instant now) {
        if (vmsKnown && todo.isEmpty() && active.isEmpty()) {
            return true;
        }
        if (now.isBefore(beganAt.plus(wait))) {
            return cancelled && !vmsKnown;
        }
        if (!vmsKnown) {
            LOG.error("this node goes down, and its VMs are not saved: the API server does not say which there are");
        }
        for (String podUID : active()) {
            var _ = failed(
                    podUID,
                    FailureReason.DeadlineExceeded.name(),
                    "it was still waited for, saved or taken back when logind's time was over");
        }
        leaveOutAll(FailureReason.DeadlineExceeded.name(), "no time was left");
        return true;
    }

    synchronized NodeShutdownStatus report() {
        return new NodeShutdownStatus(
                Conditions.time(beganAt),
                wait.toSeconds(),
                saved,
                cancelled,
                notSaved.stream().limit(REPORTED_MAX).toList());
    }

    private String noTimeFor(NodeVm vm, OptionalLong bytesPerSecond) {
        Optional<String> takes = bytesPerSecond.isPresent() && vm.memoryBytes().isPresent()
                ? Optional.of("%.1f s".formatted(seconds(NodeShutdownPlan.takes(vm, bytesPerSecond))))
                : Optional.empty();
        return "no time was left: saving it takes %s, logind gave %.1f s to all VMs of this node"
                .formatted(takes.orElse("a while"), seconds(wait));
    }

    private static double seconds(Duration duration) {
        return duration.toMillis() / MILLIS_PER_SECOND;
    }
}
