package dev.torpor.operator.snapshot;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.DisksPolicy;
import dev.torpor.api.v1alpha1.ResumePolicy;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import dev.torpor.operator.vm.PodGate;
import dev.torpor.operator.vm.RecordedManifests;
import dev.torpor.operator.vm.StartChecks;
import dev.torpor.operator.vm.Terminations;
import dev.torpor.operator.vm.VmName;
import dev.torpor.operator.vm.VmPods;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.Pod;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;

/**
 * Where a managed image stands whose VM is stopped, with no restore at work: what its start waits for. Each start is a
 * VMRestore, made here when the policy says so; one that failed by a mishap is followed by another.
 */
final class ManagedStart {
    /** Leases, revisions and much else is not watched: what waits for it looks again this often. */
    private static final Duration LOOK_AGAIN = Duration.ofSeconds(5);

    /** A node that is cordoned or in maintenance wakes what waits for it; this is only for an event that got lost. */
    private static final Duration NODE_INTERVAL = Duration.ofMinutes(1);

    /** For others of the node to queue too, when all of them may start in the same moment. */
    private static final Duration QUEUE_INTERVAL = Duration.ofMillis(500);

    private static final Duration RETRY_FIRST = Duration.ofSeconds(10);
    private static final Duration RETRY_LAST = Duration.ofMinutes(5);
    private static final int DOUBLINGS_MAX = 5;
    private static final String INFIX = "-start-";

    /** Failures of one start that say nothing about the next, although that start is over for good. */
    private static final Set<FailureReason> MISHAPS =
            EnumSet.of(FailureReason.DeadlineExceeded, FailureReason.PodGone, FailureReason.QEMUGone);

    private final VmPods pods;
    private final RecordedManifests manifests;
    private final StartChecks checks;
    private final StartQueue queue;
    private final InstantSource clock;

    ManagedStart(VmPods pods, RecordedManifests manifests, StartChecks checks, StartQueue queue, InstantSource clock) {
        this.pods = pods;
        this.manifests = manifests;
        this.checks = checks;
        this.queue = queue;
        this.clock = clock;
    }

    /**
     * Observes.
     *
     * @param restores all restores of the snapshot, none of them at work
     */
    SnapshotSituation observe(VMSnapshot snapshot, String nodeName, List<VMRestore> restores) {
        VmName vm = new VmName(
                snapshot.getMetadata().getNamespace(), snapshot.getSpec().vmName());
        List<Pod> live = pods.live(vm);
        if (live.isEmpty()) {
            return withoutPod(snapshot, nodeName);
        }
        Pod pod = live.getFirst();
        if (live.size() > 1 || VmPods.isTerminating(pod)) {
            return held(
                    FailureReason.MultipleLivePods.name(),
                    "Pods of VM %s: %s. It starts when one is left, and none is being deleted."
                            .formatted(
                                    vm.name(),
                                    String.join(
                                            ", ",
                                            live.stream()
                                                    .map(each ->
                                                            each.getMetadata().getName())
                                                    .toList())),
                    Optional.empty(),
                    LOOK_AGAIN);
        }
        if (snapshot.getSpec().resume() == ResumePolicy.Manual) {
            return held(
                    SnapshotReason.Manual.name(),
                    "VM %s starts when somebody makes a VMRestore of VMSnapshot %s."
                            .formatted(vm.name(), snapshot.getMetadata().getName()),
                    Optional.of(pod),
                    LOOK_AGAIN);
        }
        try {
            checks.require(snapshot, Optional.of(pod), DisksPolicy.Unchanged);
        } catch (TorporException e) {
            return held(
                    e.reason().name(),
                    Objects.requireNonNullElse(e.getMessage(), ""),
                    Optional.of(pod),
                    e.reason() == FailureReason.NodeUnschedulable ? NODE_INTERVAL : LOOK_AGAIN);
        }
        return afterFailures(snapshot, restores, pod).orElseGet(() -> inTurn(snapshot, nodeName, restores, pod));
    }

    private SnapshotSituation withoutPod(VMSnapshot snapshot, String nodeName) {
        Optional<RecordedManifests.Recorded> recorded = manifests.read(snapshot);
        if (recorded.isEmpty() && Terminations.isAdopting(snapshot)) {
            return held(
                    SnapshotReason.NoPod.name(),
                    (Terminations.isOfImport(snapshot)
                                    ? "VM %s has no pod, as its memory was imported. It starts when somebody makes one."
                                    : "VM %s has no pod, and the one that it was saved from was gone before it could be recorded. It starts when its controller or somebody makes one.")
                            .formatted(snapshot.getSpec().vmName()),
                    Optional.empty(),
                    LOOK_AGAIN);
        }
        if (recorded.isEmpty()) {
            TorporException missing = RecordedManifests.missing(snapshot);
            return held(
                    missing.reason().name(),
                    Objects.requireNonNullElse(missing.getMessage(), ""),
                    Optional.empty(),
                    LOOK_AGAIN);
        }
        return recorded.get().controlled()
                ? held(
                        SnapshotReason.NoPod.name(),
                        "VM %s has no pod: its StatefulSet has not made one, or is scaled to 0. It starts when there is one."
                                .formatted(snapshot.getSpec().vmName()),
                        Optional.empty(),
                        LOOK_AGAIN)
                // Not left to the webhook, which may not be asked: the pod would be free to go to any node.
                : new SnapshotSituation.PodMissing(PodGate.hold(recorded.get().pod(), nodeName));
    }

    private Optional<SnapshotSituation> afterFailures(VMSnapshot snapshot, List<VMRestore> restores, Pod pod) {
        Optional<VMRestore> last = ours(snapshot, restores).max(Comparator.comparingInt(ManagedStart::attempt));
        Optional<Condition> failure = last.map(VMRestore::getStatus)
                .flatMap(status -> Conditions.find(status.getConditions(), ConditionType.STALLED));
        if (failure.isEmpty()) {
            return Optional.empty();
        }
        String name = last.get().getMetadata().getName();
        String said = failure.get().getReason() + ": " + failure.get().getMessage();
        if (!isMishap(failure.get().getReason())) {
            return Optional.of(held(
                    SnapshotReason.StartFailed.name(),
                    "VMRestore %s failed: %s To have it tried again, remove the cause and delete that VMRestore."
                            .formatted(name, said),
                    Optional.of(pod),
                    LOOK_AGAIN));
        }
        Instant next = Instant.parse(failure.get().getLastTransitionTime())
                .plus(RETRY_FIRST.multipliedBy(1L << Math.min(attempt(last.get()) - 1, DOUBLINGS_MAX)));
        Duration left = Duration.between(clock.instant(), next);
        return left.isNegative()
                ? Optional.empty()
                : Optional.of(held(
                        SnapshotReason.StartFailed.name(),
                        "VMRestore %s failed: %s It is tried again at %s.".formatted(name, said, next),
                        Optional.of(pod),
                        left.compareTo(RETRY_LAST) < 0 ? left : RETRY_LAST));
    }

    private SnapshotSituation inTurn(VMSnapshot snapshot, String nodeName, List<VMRestore> restores, Pod pod) {
        boolean queued = SnapshotReason.Queued.name()
                .equals(Conditions.reason(snapshot.getStatus().getConditions(), ConditionType.RESUMABLE));
        if (!queued || !queue.isTurnOf(snapshot, nodeName)) {
            return held(
                    SnapshotReason.Queued.name(),
                    "VM %s starts when it is its turn: %d VMs of node %s at a time, by the priority of their pods."
                            .formatted(snapshot.getSpec().vmName(), StartQueue.AT_ONCE, nodeName),
                    Optional.of(pod),
                    queued ? LOOK_AGAIN : QUEUE_INTERVAL);
        }
        int attempt =
                ours(snapshot, restores).mapToInt(ManagedStart::attempt).max().orElse(0) + 1;
        return new SnapshotSituation.Startable(nodeName, snapshot.getMetadata().getName() + INFIX + attempt);
    }

    /** Returns the restores of ours that came before one of ours. They failed, or it would not be there. */
    static List<VMRestore> before(VMSnapshot snapshot, List<VMRestore> restores, VMRestore active) {
        return ours(snapshot, restores)
                .filter(restore -> attempt(restore) < attempt(active))
                .toList();
    }

    private static Stream<VMRestore> ours(VMSnapshot snapshot, List<VMRestore> restores) {
        String prefix = snapshot.getMetadata().getName() + INFIX;
        return restores.stream()
                .filter(restore -> restore.getMetadata().getName().startsWith(prefix))
                .filter(restore -> attempt(restore) > 0);
    }

    private static int attempt(VMRestore restore) {
        String name = restore.getMetadata().getName();
        String digits = name.substring(name.lastIndexOf('-') + 1);
        return digits.matches("[0-9]{1,9}") ? Integer.parseInt(digits) : 0;
    }

    // A reason of a newer agent is not known: a person looks.
    private static boolean isMishap(String reason) {
        return FailureReason.named(reason)
                .filter(known -> MISHAPS.contains(known) || known.kind() == FailureReason.Kind.RETRYABLE)
                .isPresent();
    }

    private static SnapshotSituation held(String reason, String message, Optional<Pod> pod, Duration lookAgain) {
        return new SnapshotSituation.Held(reason, message, pod, lookAgain);
    }
}
