package dev.torpor.operator.drain;

import dev.torpor.api.v1alpha1.OnNodeRemoval;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.operator.event.EventReason;
import dev.torpor.operator.vm.NodeLeave;
import io.fabric8.kubernetes.api.model.Node;
import io.fabric8.kubernetes.api.model.Pod;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;

/**
 * What is to be done about the VMs of a node. Of evictions only what no answer can do: to end saves when the drain ends,
 * and to let go what cannot be saved.
 *
 * @param actions in the order in which they are to be done
 * @param lookAgain when to look again if nothing changes before
 */
record NodeDecision(List<NodeAction> actions, Optional<Duration> lookAgain) {
    /** For a VM that is being started, whose end nothing else of this node may tell. */
    private static final Duration START_INTERVAL = Duration.ofSeconds(5);

    /** A VM of the node: its live pod, and how far its save is. */
    record Vm(Pod pod, SaveStep step) {}

    /**
     * Decides. Pure.
     *
     * @param vms the VMs that run on the node
     * @param saves the saves that drains of this node made
     * @param onRemoval what is done on a node that is deleted next
     */
    static NodeDecision decide(Node node, List<Vm> vms, List<VMSnapshot> saves, OnNodeRemoval onRemoval) {
        List<NodeAction> actions = new ArrayList<>();
        List<VMSnapshot> over =
                saves.stream().filter(save -> DrainCause.of(save).isOver(node)).toList();
        over.stream()
                .filter(save ->
                        !SaveProgress.isSaved(save) && !SaveProgress.isEnded(save) && !SaveProgress.isToldToEnd(save))
                .forEach(save -> actions.add(new NodeAction.Cancel(
                        save,
                        "The drain of node %s is over: the save of VM %s is cancelled, and the VM goes on."
                                .formatted(
                                        node.getMetadata().getName(),
                                        save.getSpec().vmName()))));
        over.stream()
                .filter(ShutdownProgress::isAsked)
                .forEach(save -> actions.add(new NodeAction.Recall(
                        save,
                        "The drain of node %s is over: VM %s is not to be shut down any more."
                                .formatted(
                                        node.getMetadata().getName(),
                                        save.getSpec().vmName()))));
        over.stream()
                .filter(save -> SaveProgress.hasFailed(save)
                        && !ShutdownProgress.isAsked(save)
                        && !SaveProgress.isOfAnEarlierDrain(save))
                .forEach(save -> actions.add(new NodeAction.Close(save)));
        Optional<String> maintenance = NodeLeave.maintenance(node);
        Optional<Duration> lookAgain = Optional.empty();
        for (Vm vm : shortestFirst(vms)) {
            switch (vm.step()) {
                case SaveStep.Begin(int attempt, Optional<String> after) -> {
                    if (maintenance.isPresent()) {
                        actions.add(begin(node, vm, attempt, after, maintenance.get(), onRemoval));
                    }
                }
                case SaveStep.Retry(VMSnapshot _, String _, Duration in) -> {
                    if (maintenance.isPresent()) {
                        actions.add(new NodeAction.Report(vm.pod(), words(vm).of(vm.step())));
                        lookAgain = sooner(lookAgain, in);
                    }
                }
                case SaveStep.Blocked(VMSnapshot failed, String _) -> {
                    if (!DrainCause.of(failed).isOver(node)) {
                        actions.add(new NodeAction.Report(vm.pod(), words(vm).of(vm.step())));
                    }
                }
                case SaveStep.LetGo(VMSnapshot failed, String _) -> {
                    if (!DrainCause.of(failed).isOver(node)) {
                        actions.add(new NodeAction.Delete(
                                vm.pod(),
                                ShutdownProgress.isDone(failed) ? EventReason.ShutDown : EventReason.MemoryLost,
                                words(vm).of(vm.step())));
                    }
                }
                case SaveStep.ShutDown(VMSnapshot failed, String _, boolean asked) -> {
                    if (!asked && !DrainCause.of(failed).isOver(node)) {
                        actions.add(new NodeAction.ShutDown(
                                vm.pod(), failed, words(vm).of(vm.step())));
                    }
                }
                case SaveStep.Starting _ -> {
                    if (maintenance.isPresent()) {
                        lookAgain = sooner(lookAgain, START_INTERVAL);
                    }
                }
                case SaveStep.UnderWay _, SaveStep.OtherUnderWay _, SaveStep.Saved _ -> {}
            }
        }
        return new NodeDecision(List.copyOf(actions), lookAgain);
    }

    private static Optional<Duration> sooner(Optional<Duration> one, Duration other) {
        return Optional.of(one.filter(it -> it.compareTo(other) < 0).orElse(other));
    }

    private static NodeAction begin(
            Node node, Vm vm, int attempt, Optional<String> after, String maintenance, OnNodeRemoval onRemoval) {
        Optional<NodeRemoval> removal = NodeRemoval.of(vm.step(), node, () -> onRemoval);
        if (removal.isPresent()) {
            String sign = removal.get().sign();
            return removal.get().shutDown()
                    ? new NodeAction.OrderShutdown(vm.pod(), attempt, words(vm).isShutDown(sign))
                    : new NodeAction.Report(vm.pod(), words(vm).nodeIsRemoved(sign));
        }
        return new NodeAction.Begin(
                vm.pod(),
                attempt,
                "Node %s is in maintenance (%s): VM %s is saved%s."
                        .formatted(
                                node.getMetadata().getName(),
                                maintenance,
                                DrainSaves.vmOf(vm.pod()).name(),
                                after.map(why -> " again, after " + why).orElse("")));
    }

    // The node's agent keeps to this order too, where several wait.
    private static List<Vm> shortestFirst(List<Vm> vms) {
        return vms.stream()
                .sorted(Comparator.comparingLong(
                                (Vm vm) -> MemoryEstimate.of(vm.pod()).orElse(0))
                        .thenComparing(vm -> vm.pod().getMetadata().getName()))
                .toList();
    }

    private static SaveWords words(Vm vm) {
        return SaveWords.of(vm.pod(), save -> 0);
    }
}
