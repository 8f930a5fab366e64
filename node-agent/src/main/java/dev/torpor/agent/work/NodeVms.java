package dev.torpor.agent.work;

import dev.torpor.agent.launch.VmName;
import dev.torpor.api.v1alpha1.OnTermination;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.failure.TorporException;
import io.fabric8.kubernetes.api.model.Pod;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.ConcurrentHashMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The VMs of this node with what decides on their order at its shutdown. How much memory one has is asked of its QEMU, once
 * it runs, as a pod need not say it. Thread-safe.
 */
final class NodeVms {
    private static final Logger LOG = LoggerFactory.getLogger(NodeVms.class);
    private static final Duration AGAIN = Duration.ofSeconds(2);

    private final Vm.Vms vms;
    private final Map<String, Known> pods = new ConcurrentHashMap<>();

    /**
     * A VM's pod.
     *
     * @param policy when its VM is to be saved
     * @param lookAtNanos when its QEMU is asked, on the clock of {@link System#nanoTime}; empty while it is, or was
     */
    private record Known(NodeVm vm, OnTermination policy, Optional<Long> lookAtNanos) {
        Known lookingAt(Optional<Long> nanos) {
            return new Known(vm, policy, nanos);
        }

        Known having(OptionalLong bytes) {
            return new Known(new NodeVm(vm.vm(), vm.podUID(), vm.priority(), bytes), policy, lookAtNanos);
        }
    }

    NodeVms(Vm.Vms vms) {
        this.vms = vms;
    }

    /** A VM's pod of this node, as an informer saw it. */
    void seen(VmName vm, Pod pod) {
        int priority = Objects.requireNonNullElse(pod.getSpec().getPriority(), 0);
        String uid = pod.getMetadata().getUid();
        OnTermination policy = OnTermination.of(
                pod.getMetadata().getAnnotations() == null
                        ? null
                        : pod.getMetadata().getAnnotations().get(Torpor.ON_TERMINATION_ANNOTATION));
        pods.compute(
                uid,
                (_, known) -> known == null
                        ? new Known(
                                new NodeVm(vm, uid, priority, OptionalLong.empty()),
                                policy,
                                Optional.of(System.nanoTime()))
                        : new Known(
                                new NodeVm(vm, uid, priority, known.vm().memoryBytes()), policy, known.lookAtNanos()));
    }

    void gone(String podUID) {
        pods.remove(podUID);
    }

    /** Returns the VMs that are to be saved when the node goes down. */
    List<NodeVm> wanted() {
        return pods.values().stream()
                .filter(known -> known.policy() != OnTermination.Never)
                .map(Known::vm)
                .toList();
    }

    /** Returns the VMs whose policy is {@link OnTermination#Never}. */
    List<NodeVm> unwanted() {
        return pods.values().stream()
                .filter(known -> known.policy() == OnTermination.Never)
                .map(Known::vm)
                .toList();
    }

    /** Returns the pods whose QEMU is to be asked now, each once until it was. */
    List<WorkItem.Measure> due() {
        List<WorkItem.Measure> due = new ArrayList<>();
        long now = System.nanoTime();
        pods.forEach((uid, known) -> {
            if (known.lookAtNanos().filter(at -> at - now <= 0).isPresent()) {
                due.add(new WorkItem.Measure(known.vm().vm(), uid));
            }
        });
        due.forEach(item -> pods.computeIfPresent(item.podUID(), (_, known) -> known.lookingAt(Optional.empty())));
        return due;
    }

    /** Returns how much memory the VM of a pod has, which its QEMU is asked for if nobody has yet. */
    OptionalLong memoryBytes(String podUID) {
        Known known = pods.get(podUID);
        if (known != null && known.vm().memoryBytes().isEmpty()) {
            var _ = measure(podUID);
            known = pods.get(podUID);
        }
        return known == null ? OptionalLong.empty() : known.vm().memoryBytes();
    }

    /** Asks a QEMU for its memory. */
    Next measure(String podUID) {
        OptionalLong bytes = OptionalLong.empty();
        try (Vm vm = vms.connect(podUID)) {
            bytes = OptionalLong.of(vm.probe().definition().ramBlocks().values().stream()
                    .mapToLong(Long::longValue)
                    .sum());
        } catch (TorporException e) {
            LOG.debug("pod {}: how much memory its VM has: {}", podUID, e.getMessage());
        }
        OptionalLong found = bytes;
        Optional<Long> again = found.isPresent() ? Optional.empty() : Optional.of(System.nanoTime() + AGAIN.toNanos());
        pods.computeIfPresent(podUID, (_, known) -> known.having(found).lookingAt(again));
        return Next.onChange();
    }
}
