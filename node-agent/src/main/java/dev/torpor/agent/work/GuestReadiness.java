package dev.torpor.agent.work;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodCondition;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.time.Clock;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Says in the status of this node's VM pods whether their guest runs: of those whose readiness gate asks for it. What we do to
 * a guest ourselves is said at once; what happens without us (QEMU comes up, ends, is paused by its owner) is found by
 * looking. That nobody can be told never keeps a VM from being saved or started.
 *
 * <p>Thread-safe. Looks at one pod are made by the worker of its VM, as a monitor serves one client at a time.
 */
final class GuestReadiness {
    private static final Logger LOG = LoggerFactory.getLogger(GuestReadiness.class);
    // What is noticed this late is nobody's request to us; a container that ends is not ready by itself.
    private static final Duration RUNNING_POLL = Duration.ofSeconds(10);
    // While a VM starts its owner waits. Until QEMU is up a look costs a few system calls.
    private static final Duration STARTING_POLL = Duration.ofMillis(500);
    private static final Duration STOPPED_POLL = Duration.ofSeconds(2);
    private static final Duration AFTER_REFUSAL = Duration.ofSeconds(30);

    private final Vm.Vms vms;
    private final Cluster cluster;
    private final Clock clock;
    private final Map<String, Watched> pods = new ConcurrentHashMap<>();

    GuestReadiness(Vm.Vms vms, Cluster cluster, Clock clock) {
        this.vms = vms;
        this.cluster = cluster;
        this.clock = clock;
    }

    /**
     * A pod that is to be told of.
     *
     * @param said what its status says; empty if nothing yet, or something that we do not know
     * @param lookAt when to look next, on the clock of {@link System#nanoTime}; empty while a look is under way
     */
    private record Watched(String namespace, String name, Optional<GuestState> said, Optional<Long> lookAt) {
        Watched saying(GuestState state) {
            return new Watched(namespace, name, Optional.of(state), lookAt);
        }

        Watched looking() {
            return new Watched(namespace, name, said, Optional.empty());
        }

        Watched lookingAfter(Duration delay) {
            return new Watched(namespace, name, said, Optional.of(System.nanoTime() + delay.toNanos()));
        }

        boolean isDue() {
            return lookAt.filter(at -> at - System.nanoTime() <= 0).isPresent();
        }
    }

    /** A VM's pod of this node, as an informer saw it. */
    void seen(Pod pod) {
        boolean asks = pod.getSpec().getReadinessGates().stream()
                .anyMatch(gate -> Torpor.GUEST_RUNNING.equals(gate.getConditionType()));
        if (asks) {
            // Later on this process knows better than an informer, which may be behind: nobody else writes it.
            pods.computeIfAbsent(pod.getMetadata().getUid(), _ -> new Watched(
                            pod.getMetadata().getNamespace(), pod.getMetadata().getName(), said(pod), Optional.empty())
                    .lookingAfter(Duration.ZERO));
        }
    }

    void gone(String podUID) {
        pods.remove(podUID);
    }

    /** Returns the pods that are to be looked at now, each once until it was. */
    List<String> due() {
        List<String> due = new ArrayList<>();
        pods.forEach((uid, watched) -> {
            if (watched.isDue()) {
                due.add(uid);
            }
        });
        due.forEach(uid -> pods.computeIfPresent(uid, (_, watched) -> watched.looking()));
        return due;
    }

    /** Looks at a pod's QEMU, and says what it found. */
    Next look(String podUID) {
        Duration again = AFTER_REFUSAL;
        try {
            Optional<GuestState> state = observe(podUID);
            if (state.isPresent()) {
                tell(podUID, state.get());
            }
            again = switch (state.orElse(GuestState.RUNNING)) {
                case RUNNING -> RUNNING_POLL;
                case STARTING -> STARTING_POLL;
                case LOADING, SAVING, PAUSED -> STOPPED_POLL;
            };
        } catch (KubernetesClientException e) {
            refused(podUID, e);
        }
        lookAfter(podUID, again);
        return Next.onChange();
    }

    /** The guest is about to be paused for a save. */
    void saving(String podUID) {
        tellAtOnce(podUID, GuestState.SAVING);
    }

    /** The pod's launcher asks how to start, so that no QEMU runs. */
    void starting(String podUID) {
        tellAtOnce(podUID, GuestState.STARTING);
        lookAfter(podUID, STARTING_POLL);
    }

    /** Something was done to the guest: it is to be looked at soon. */
    void changed(String podUID) {
        lookAfter(podUID, Duration.ZERO);
    }

    private void lookAfter(String podUID, Duration delay) {
        pods.computeIfPresent(podUID, (_, watched) -> watched.lookingAfter(delay));
    }

    // Empty: it cannot be told, as when somebody else holds the monitor. What was said stands then.
    private Optional<GuestState> observe(String podUID) {
        try (Vm vm = vms.connect(podUID)) {
            return Optional.of(GuestState.of(vm.runState()));
        } catch (TorporException e) {
            LOG.debug("pod {}: whether its guest runs: {}", podUID, e.getMessage());
            return e.reason() == FailureReason.SocketMissing || e.reason() == FailureReason.QEMUGone
                    ? Optional.of(GuestState.STARTING)
                    : Optional.empty();
        }
    }

    private void tellAtOnce(String podUID, GuestState state) {
        try {
            tell(podUID, state);
        } catch (KubernetesClientException e) {
            refused(podUID, e);
        }
    }

    private void tell(String podUID, GuestState state) {
        Watched watched = pods.get(podUID);
        if (watched == null || watched.said().equals(Optional.of(state))) {
            return;
        }
        boolean changes = watched.said().map(GuestState::running).orElse(!state.running()) != state.running();
        cluster.tellGuest(
                watched.namespace(),
                watched.name(),
                podUID,
                state,
                changes ? Optional.of(clock.instant()) : Optional.empty());
        pods.computeIfPresent(podUID, (_, before) -> before.saying(state));
        LOG.info(
                "pod {}/{}: {} -> {}",
                watched.namespace(),
                watched.name(),
                watched.said().map(GuestState::reason).orElse("Unknown"),
                state.reason());
    }

    private static void refused(String podUID, KubernetesClientException e) {
        LOG.warn("pod {}: the API server is not told whether its guest runs: {}", podUID, e.getMessage());
        LOG.debug("pod {}", podUID, e);
    }

    private static Optional<GuestState> said(Pod pod) {
        if (pod.getStatus() == null) {
            return Optional.empty();
        }
        for (PodCondition condition : pod.getStatus().getConditions()) {
            if (Torpor.GUEST_RUNNING.equals(condition.getType())) {
                return Arrays.stream(GuestState.values())
                        .filter(state -> state.reason().equals(condition.getReason())
                                && (state.running() ? "True" : "False").equals(condition.getStatus()))
                        .findFirst();
            }
        }
        return Optional.empty();
    }
}
