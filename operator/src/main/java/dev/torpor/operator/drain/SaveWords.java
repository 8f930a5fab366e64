package dev.torpor.operator.drain;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.Progress;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.operator.vm.ShutdownOrder;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.Pod;
import java.util.Locale;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.function.ToLongFunction;

/**
 * What people read of the save of a VM whose node is drained, in a line.
 *
 * @param vm name of the VM
 * @param podName its pod
 * @param nodeName node that it runs on
 * @param othersFirst tells how many saves of the node go before a given one; asked only if one waits
 */
record SaveWords(String vm, String podName, String nodeName, ToLongFunction<VMSnapshot> othersFirst) {
    private static final double KIB = 1024;
    /** What the agent and the operator say while all is well. */
    private static final Set<String> ALL_IS_WELL = Set.of("Saving", "Queued", "Bound");

    static SaveWords of(Pod pod, ToLongFunction<VMSnapshot> othersFirst) {
        return new SaveWords(
                DrainSaves.vmOf(pod).name(),
                pod.getMetadata().getName(),
                Objects.requireNonNullElse(pod.getSpec().getNodeName(), ""),
                othersFirst);
    }

    String of(SaveStep step) {
        return switch (step) {
            case SaveStep.Begin(int attempt, Optional<String> after) ->
                after.map(why -> "torpor: saving VM %s again, attempt %d; the last one ended with %s"
                                .formatted(vm, attempt, why))
                        .orElse("torpor: saving VM %s: it begins".formatted(vm));
            case SaveStep.UnderWay(VMSnapshot save) -> underWay(save);
            case SaveStep.OtherUnderWay(VMSnapshot other) ->
                "torpor: VM %s is saved by VMSnapshot %s (%s), which somebody made: %s"
                        .formatted(
                                vm,
                                other.getMetadata().getName(),
                                Objects.requireNonNullElse(other.getSpec().mode(), SaveMode.Save),
                                progress(other));
            case SaveStep.Saved _ ->
                "torpor: VM %s is saved on node %s; its pod %s is being deleted".formatted(vm, nodeName, podName);
            case SaveStep.Starting(VMSnapshot image, boolean atWork) ->
                atWork
                        ? "torpor: VM %s is being started from VMSnapshot %s, and is saved once it runs"
                                .formatted(vm, image.getMetadata().getName())
                        : "torpor: the memory of VM %s is saved in VMSnapshot %s, and pod %s waits for it"
                                .formatted(vm, image.getMetadata().getName(), podName);
            case SaveStep.Retry(VMSnapshot _, String why, var in) ->
                "torpor: VM %s could not be saved and is tried again in %d s: %s"
                        .formatted(vm, in.toSeconds() + 1, why);
            case SaveStep.Blocked(VMSnapshot failed, String why) ->
                "torpor: blocked: VM %s cannot be saved, and runs on: %s %s".formatted(vm, why, whatToDo(failed));
            case SaveStep.ShutDown(VMSnapshot order, String _, boolean _)
            when ShutdownOrder.is(order) ->
                isShutDown("its VMSnapshot %s".formatted(order.getMetadata().getName()));
            case SaveStep.ShutDown(VMSnapshot _, String why, boolean _) ->
                "torpor: VM %s cannot be saved, and its class says onSaveFailure: Shutdown: its guest is asked to shut down. It was %s"
                        .formatted(vm, why);
            case SaveStep.LetGo(VMSnapshot order, String _)
            when ShutdownOrder.is(order) ->
                "torpor: VM %s was shut down, as node %s is about to be deleted; its pod %s is being deleted"
                        .formatted(vm, nodeName, podName);
            case SaveStep.LetGo(VMSnapshot failed, String why)
            when ShutdownProgress.isDone(failed) ->
                "torpor: VM %s could not be saved and was shut down; its pod %s is being deleted. It was %s"
                        .formatted(vm, podName, why);
            case SaveStep.LetGo(VMSnapshot _, String why) ->
                "torpor: VM %s cannot be saved, and its class says onSaveFailure: Delete: pod %s is being deleted, its memory is lost. It was %s"
                        .formatted(vm, podName, why);
        };
    }

    String nothingToEvict(SaveStep.Starting step) {
        return of(step) + ": there is nothing to evict";
    }

    String wouldBeSaved() {
        return "torpor: dry run: VM %s would be saved on node %s, and pod %s deleted then; nothing was done"
                .formatted(vm, nodeName, podName);
    }

    String wouldBeShutDown() {
        return "torpor: dry run: VM %s would be shut down, not saved, as node %s is about to be deleted, and pod %s deleted then; nothing was done"
                .formatted(vm, nodeName, podName);
    }

    /** Says that the VM is shut down because its node is deleted next, as some sign tells. */
    String isShutDown(String sign) {
        return "torpor: node %s is about to be deleted (%s), and the class says onNodeRemoval: Shutdown: the guest of VM %s is asked to shut down"
                .formatted(nodeName, sign, vm);
    }

    String noLauncher(String lacks) {
        return "torpor: blocked: VM %s could not be saved: pod %s does not start QEMU through the launcher: it lacks %s. Start the VM from a pod that is wired, or shut it down and delete the pod."
                .formatted(vm, podName, lacks);
    }

    String nodeIsRemoved(String sign) {
        return "torpor: blocked: node %s is about to be deleted (%s), and an image of VM %s would go with its disk. The VM runs on. Keep the node: take the taint away; or shut the VM down and delete pod %s; or make a VMSnapshot of it yourself (always: onNodeRemoval: Save in the default class), if that disk outlives the node."
                .formatted(nodeName, sign, vm, podName);
    }

    private String underWay(VMSnapshot save) {
        if (ShutdownOrder.is(save)) {
            return "torpor: VM %s is about to be shut down, as its node %s is about to be deleted: %s"
                    .formatted(vm, nodeName, progress(save));
        }
        if (SaveProgress.isToldToEnd(save)) {
            return "torpor: an earlier save of VM %s is being cancelled; a new one begins after it".formatted(vm);
        }
        return "torpor: saving VM %s: %s".formatted(vm, progress(save));
    }

    private String whatToDo(VMSnapshot failed) {
        return "Mend that and delete VMSnapshot %s: then the drain tries again. Or delete pod %s, which ends the VM and loses its memory."
                .formatted(failed.getMetadata().getName(), podName);
    }

    private String progress(VMSnapshot save) {
        VMSnapshotStatus status = save.getStatus();
        if (status == null) {
            return "it begins";
        }
        Optional<Condition> trouble = Conditions.find(status.getConditions(), ConditionType.SAVED)
                .or(() -> Conditions.find(status.getConditions(), ConditionType.READY))
                .filter(condition -> !ALL_IS_WELL.contains(condition.getReason()));
        if (trouble.isPresent()) {
            return "held up by %s: %s"
                    .formatted(trouble.get().getReason(), trouble.get().getMessage());
        }
        Progress progress = status.getProgress();
        if (progress != null && progress.totalBytes() != null && progress.doneBytes() != null) {
            return amounts(progress.doneBytes(), progress.totalBytes()) + left(progress);
        }
        long others = status.getPhase() == SnapshotPhase.Bound || DrainSaves.isQueued(save)
                ? othersFirst.applyAsLong(save)
                : 0;
        return others == 0
                ? "it begins"
                : "queued behind %d other%s of node %s".formatted(others, others == 1 ? "" : "s", nodeName);
    }

    private static String left(Progress progress) {
        return progress.secondsLeft() == null ? "" : ", %d s left".formatted(progress.secondsLeft());
    }

    private static String amounts(long done, long total) {
        double unit = total >= KIB * KIB * KIB ? KIB * KIB * KIB : KIB * KIB;
        return String.format(
                Locale.ROOT, "%.1f of %.1f %s", done / unit, total / unit, unit == KIB * KIB ? "MiB" : "GiB");
    }
}
